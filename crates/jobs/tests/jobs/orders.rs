//! What is taken and what is refused, and by which name.

use imagegen_jobs::{Error, Kind, Limits, Order};
use pollster::block_on;

use crate::place::{ANNA, Place, begun, long, order, over, png, short, source, transform};

#[test]
fn one_key_is_one_job_and_one_order() {
    let place = Place::new();
    let jobs = place.open();
    let ordered = |prompt: &str| order(prompt, 1, transform(&source(&jobs, 1), 1));
    let mut unseeded = ordered("a");
    unseeded.seed = None;
    let first = jobs.submit(ANNA, unseeded.clone(), Some("k")).unwrap();
    let second = jobs.submit(ANNA, unseeded.clone(), Some("k")).unwrap();
    assert!(!first.again && second.again);
    assert_eq!(
        (first.job.id, &first.job.order),
        (second.job.id, &second.job.order)
    );
    let other = jobs.submit(ANNA, ordered("b"), Some("k")).unwrap_err();
    assert!(
        matches!(&other, Error::KeyReused { key } if key == "k"),
        "{other}"
    );
    let bert = jobs.submit("bert", unseeded.clone(), Some("k")).unwrap();
    assert!(!bert.again, "keys are an owner's own");
    over(&jobs, &first.job.id);
    assert!(
        jobs.submit(ANNA, unseeded.clone(), Some("k"))
            .unwrap()
            .again
    );
    jobs.remove(&first.job.id).unwrap();
    assert!(!jobs.submit(ANNA, unseeded, Some("k")).unwrap().again);
    assert_eq!(jobs.counters().unwrap().submitted, 3);
}

#[test]
fn one_key_is_one_job_also_at_the_same_time() {
    let place = Place::new();
    let jobs = place.open();
    let ordered = order("a", 1, transform(&source(&jobs, 1), 1));
    let submit = || jobs.submit(ANNA, ordered.clone(), Some("k")).unwrap();
    let taken: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(submit)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(taken.iter().all(|one| one.job.id == taken[0].job.id));
    assert_eq!(taken.iter().filter(|one| !one.again).count(), 1);
}

#[test]
fn the_queue_is_bounded_as_a_whole_and_for_each_owner() {
    let place = Place::new();
    let jobs = place.open_with(Limits {
        queued: 3,
        per_owner: 2,
        ..Limits::default()
    });
    let running = long(&jobs);
    begun(&jobs, &running.id);
    let ordered = || order("a", 1, transform(&source(&jobs, 1), 1));
    let submit = |owner| jobs.submit(owner, ordered(), None);
    submit(ANNA).unwrap();
    let error = submit(ANNA).unwrap_err();
    assert!(matches!(error, Error::TooMany { limit: 2, .. }), "{error}");
    assert!(
        error
            .retry_s()
            .is_some_and(|seconds| (1..=600).contains(&seconds))
    );
    submit("bert").unwrap();
    submit("bert").unwrap();
    let error = submit("cora").unwrap_err();
    assert!(
        matches!(error, Error::QueueFull { limit: 3, .. }),
        "{error}"
    );
    assert_eq!(error.code(), "queue_full");
}

#[test]
fn what_cannot_be_carried_out_is_refused_by_its_field() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 1);
    let good = || order("a", 1, transform(&source, 1));
    let change = |change: &dyn Fn(&mut Order)| {
        let mut order = good();
        change(&mut order);
        jobs.submit(ANNA, order, None)
            .map(|taken| taken.job.order)
            .unwrap_err()
    };
    let kind = |kind: Kind| change(&|order| order.kind = kind.clone());
    let with = |strength: f64, size: &str, fit: &str, count: u8| {
        kind(Kind::Transform {
            source: source.sha256.clone(),
            strength: Some(strength),
            size: Some(size.to_owned()),
            fit: Some(fit.to_owned()),
            count,
        })
    };
    let ladder = |strengths: &[f64]| {
        kind(Kind::Ladder {
            source: source.sha256.clone(),
            strengths: strengths.to_vec(),
            size: None,
            fit: None,
        })
    };
    let generate = |width, height| {
        kind(Kind::Generate {
            width,
            height,
            count: 1,
        })
    };
    let refusals = [
        (change(&|order| order.steps = Some(0)), "steps"),
        (change(&|order| order.steps = Some(1001)), "steps"),
        (
            change(&|order| order.guidance_scale = Some(f64::NAN)),
            "guidance_scale",
        ),
        (
            change(&|order| order.guidance_scale = Some(100.5)),
            "guidance_scale",
        ),
        (
            change(&|order| order.sampler = Some("none".into())),
            "sampler",
        ),
        (
            change(&|order| order.strength_rule = Some("none".into())),
            "strength_rule",
        ),
        (
            change(&|order| order.prompt_mode = Some("none".into())),
            "prompt_mode",
        ),
        (
            change(&|order| order.sampling.schedule = Some("none".into())),
            "schedule",
        ),
        (change(&|order| order.sampling.eta = Some(1.5)), "eta"),
        (
            change(&|order| order.sampling.guidance_rescale = Some(f64::NAN)),
            "guidance_rescale",
        ),
        (
            change(&|order| order.sampling.image_guidance = Some(-1.0)),
            "image_guidance",
        ),
        (
            change(&|order| order.sampling.colours = Some("vivid".into())),
            "colours",
        ),
        (
            change(&|order| order.sampling.noise = Some("gpu".into())),
            "noise",
        ),
        (
            change(&|order| order.sampling.variation_seed = Some(1)),
            "variation_strength",
        ),
        (
            change(&|order| order.sampling.variation_strength = Some(1.5)),
            "variation_strength",
        ),
        (change(&|order| order.prompt = "a".repeat(8193)), "prompt"),
        (
            change(&|order| order.negative_prompt = "a".repeat(8193)),
            "negative_prompt",
        ),
        (with(1.5, "source", "keep", 1), "strength"),
        (with(f64::NAN, "source", "keep", 1), "strength"),
        (with(0.5, "0", "keep", 1), "size"),
        (with(0.5, "64x99999", "keep", 1), "size"),
        (with(0.5, "16384x16384", "stretch", 1), "size"),
        (with(0.5, "source", "tile", 1), "fit"),
        (with(0.5, "source", "keep", 0), "count"),
        (with(0.5, "source", "keep", 9), "count"),
        (ladder(&[0.5]), "strengths"),
        (ladder(&[0.5, 0.5]), "strengths"),
        (ladder(&[0.5, 1.1]), "strengths"),
        (ladder(&[0.1; 9]), "strengths"),
        (generate(0, 64), "width"),
        (generate(64, 16_385), "height"),
    ];
    for (error, field) in &refusals {
        assert!(
            matches!(error, Error::Value { field: got, .. } if got == field),
            "{field}: {error}"
        );
    }
    assert_eq!(generate(4096, 4096).code(), "invalid_value");
    let error = change(&|order| order.prompt = vec!["a"; 17].join(" AND "));
    assert!(
        error.to_string().contains("17 parts joined by AND"),
        "{error}"
    );
    let error = change(&|order| {
        order.negative_prompt = "<lora:fur>".into();
        order.guidance_scale = Some(1.5);
    });
    assert!(error.to_string().contains("the LoRA \"fur\""), "{error}");
    let error = change(&|order| order.model = Some("other".into()));
    assert!(
        matches!(&error, Error::UnknownModel { got, known } if got == "other" && known == "starter"),
        "{error}"
    );
    for sha256 in [
        "",
        "../../etc/passwd",
        &"ab".repeat(32),
        &source.sha256.to_uppercase(),
    ] {
        let mut unknown = source.clone();
        unknown.sha256 = sha256.to_owned();
        let error = kind(transform(&unknown, 1));
        assert!(
            matches!(error, Error::UnknownSource { .. }),
            "{sha256}: {error}"
        );
    }
    let error = jobs.submit(ANNA, good(), Some("")).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Value {
                field: "idempotency_key",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(jobs.counters().unwrap().jobs, [0; 5], "nothing was taken");
}

#[test]
fn orders_are_filled_in_so_that_they_mean_the_same_later() {
    let place = Place::new();
    let jobs = place.open();
    let mut open = order("a", 1, transform(&source(&jobs, 1), 1));
    open.seed = None;
    if let Kind::Transform { strength, .. } = &mut open.kind {
        *strength = None;
    }
    let taken = jobs.submit(ANNA, open, None).unwrap().job.order;
    assert_eq!(taken.model.as_deref(), Some("starter"));
    assert!(taken.seed.is_some());
    let default = jobs.model(None).unwrap().defaults().strength;
    assert!(matches!(taken.kind, Kind::Transform { strength: Some(s), .. } if s == default));
}

#[test]
fn finer_choices_are_kept_and_decide_pixels() {
    let place = Place::new();
    let jobs = place.open();
    let mut plain = order("a", 3, transform(&source(&jobs, 1), 1));
    plain.guidance_scale = Some(3.0);
    let mut finer = plain.clone();
    finer.sampler = Some("ddim".to_owned());
    finer.sampling.eta = Some(0.5);
    finer.sampling.schedule = Some("Karras".to_owned());
    finer.sampling.guidance_rescale = Some(0.7);
    finer.sampling.guidance_until = Some(0.5);
    finer.sampling.cache_interval = Some(2);
    finer.sampling.token_merging = Some(0.5);
    let made = [plain, finer.clone()].map(|order| {
        let taken = jobs.submit(ANNA, order, None).unwrap();
        over(&jobs, &taken.job.id)
    });
    assert_eq!(made[1].order.sampling, finer.sampling);
    let recipes = made.each_ref().map(|job| &job.results[0].recipe);
    assert_eq!((recipes[0].eta, &recipes[0].schedule), (None, &None));
    assert_eq!(
        (recipes[1].eta, recipes[1].schedule.as_deref()),
        (Some(0.5), Some("karras"))
    );
    assert_eq!(recipes[1].guidance_rescale, Some(0.7));
    assert_eq!(recipes[1].guidance_until, Some(0.5));
    assert_eq!(recipes[1].cache_interval, Some(2));
    assert_eq!(recipes[1].token_merging, Some(0.5));
    let pictures = made.each_ref().map(|job| {
        let which = imagegen_jobs::PictureKind::Result(0);
        let bytes = block_on(jobs.picture(&job.id, which)).unwrap().unwrap();
        imagegen_picture::decode(&bytes, &imagegen_picture::Limits::default())
            .unwrap()
            .picture
    });
    assert_ne!(pictures[0].rgb(), pictures[1].rgb());
}

#[test]
fn variations_of_one_seed_count_their_own_up() {
    let place = Place::new();
    let jobs = place.open();
    let mut varied = order("a", 2, transform(&source(&jobs, 1), 3));
    varied.sampling.noise = Some("nv".to_owned());
    varied.sampling.variation_strength = Some(0.5);
    let taken = jobs.submit(ANNA, varied, None).unwrap().job;
    let first = taken.order.sampling.variation_seed;
    let first = first.expect("a seed is drawn, so that a restart makes the same");
    let done = over(&jobs, &taken.id);
    let seeds = done.results.iter().map(|result| {
        let to = result.recipe.variation.unwrap();
        assert_eq!((result.seed, to.strength), (7, 0.5));
        assert_eq!(result.recipe.noise.as_deref(), Some("nv"));
        to.seed
    });
    let expected = [0, 1, 2].map(|by| first.wrapping_add(by));
    assert_eq!(seeds.collect::<Vec<_>>(), expected);
}

#[test]
fn orders_of_versions_that_knew_no_finer_choices_are_read_and_told_apart_as_ever() {
    let old = r#"{"model": "starter", "prompt": "a", "negative_prompt": "", "prompt_mode": "plain",
        "steps": 1, "guidance_scale": null, "seed": 7, "sampler": null, "strength_rule": null,
        "kind": {"kind": "generate", "width": 64, "height": 64, "count": 1}}"#;
    let order: Order = serde_json::from_str(old).unwrap();
    assert_eq!(order.sampling, imagegen_jobs::Sampling::default());
    // A hash over the order tells whether a key stands for the same one.
    let (now, before): (serde_json::Value, serde_json::Value) = (
        serde_json::to_value(&order).unwrap(),
        serde_json::from_str(old).unwrap(),
    );
    assert_eq!(now, before);
}

#[test]
fn a_source_is_stored_once_and_named_by_each_owner() {
    let place = Place::new();
    let jobs = place.open();
    let limits = imagegen_picture::Limits::default();
    let put =
        |owner: &str, name: &str, bytes| block_on(jobs.put_source(owner, name, bytes, &limits));
    let first = put(ANNA, "../a.png", png(64, 48, 3)).unwrap();
    assert_eq!((first.name.as_str(), first.known), ("a.png", false));
    assert_eq!(
        (first.width, first.height, first.format.as_str()),
        (64, 48, "PNG")
    );
    let second = put("bert", "b.png", png(64, 48, 3)).unwrap();
    assert_eq!(
        (&second.sha256, second.name.as_str(), second.known),
        (&first.sha256, "b.png", true)
    );
    for (owner, name) in [(ANNA, "a.png"), ("bert", "b.png")] {
        let taken = jobs
            .submit(owner, order("x", 1, transform(&first, 1)), None)
            .unwrap();
        assert_eq!(taken.job.source_name.as_deref(), Some(name));
        let done = over(&jobs, &taken.job.id);
        assert_eq!(done.results[0].recipe.source.as_ref().unwrap().name, name);
    }
    let bytes = block_on(jobs.source_bytes(&first.sha256)).unwrap().unwrap();
    assert_eq!(bytes, png(64, 48, 3));
    assert_eq!(
        block_on(jobs.source(&first.sha256)).unwrap().unwrap().width,
        64
    );
    let decoded = block_on(jobs.decoded(&first.sha256)).unwrap();
    assert_eq!(decoded.picture().size(), imagegen::Size::new(64, 48));
    assert_eq!(block_on(jobs.source_bytes("../jobs.sqlite")).unwrap(), None);
    let error = put(ANNA, "t.txt", "no picture".into()).unwrap_err();
    assert_eq!(error.code(), "unusable_source");
    let small = imagegen_picture::Limits {
        pixels: 100,
        ..limits
    };
    let over = block_on(jobs.put_source(ANNA, "c.png", png(64, 48, 4), &small)).unwrap_err();
    assert_eq!(over.code(), "unusable_source");
}

#[test]
fn nobody_needs_to_wait_for_a_job() {
    let place = Place::new();
    let jobs = place.open();
    let id = short(&jobs, "left alone").id;
    let other = jobs.clone();
    drop(jobs);
    assert_eq!(over(&other, &id).results.len(), 1);
}
