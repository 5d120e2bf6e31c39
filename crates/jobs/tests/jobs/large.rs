//! Pictures larger than their model works at: second passes and windows.

use imagegen::{
    Between, Generate, ModelSource, Request, Settings, Strength, StrengthRule, Tiles, Unwatched,
};
use imagegen_jobs::{Error, Event, Hires, Jobs, Kind, Limits, Order, PictureKind, State};

use crate::place::{ANNA, Place, cpu, order, over, pixels, said, source, transform};
use crate::storage::starter_at;

fn hires(by: f64) -> Hires {
    Hires {
        by,
        strength: None,
        steps: None,
        with: None,
    }
}

fn generate(change: impl FnOnce(&mut Order)) -> Order {
    let kind = Kind::Generate {
        width: 96,
        height: 64,
        count: 1,
    };
    let mut order = order("winter", 4, kind);
    change(&mut order);
    order
}

fn refused(jobs: &Jobs, order: Order) -> (&'static str, String) {
    match jobs.submit(ANNA, order, None).unwrap_err() {
        Error::Value { field, got, .. } => (field, got),
        other => panic!("{other}"),
    }
}

#[test]
fn a_second_pass_is_the_librarys_and_is_filled_in() {
    let place = Place::new();
    let jobs = place.open();
    let order = generate(|order| order.sampling.hires = Some(hires(1.5)));
    let taken = jobs.submit(ANNA, order, None).unwrap().job;
    let filled = Hires {
        strength: Some(0.5),
        with: Some("lanczos".to_owned()),
        ..hires(1.5)
    };
    assert_eq!(taken.order.sampling.hires, Some(filled));
    let job = over(&jobs, &taken.id);
    assert_eq!((job.state, &job.failure), (State::Done, &None));
    let request = Request::Generate(Generate {
        width: 96,
        height: 64,
        settings: Settings {
            prompt: "winter".to_owned(),
            negative_prompt: String::new(),
            prompt_mode: imagegen::PromptMode::default(),
            steps: Some(4),
            guidance_scale: None,
            seed: 7,
            sampler: None,
            sampling: imagegen::Sampling {
                hires: Some(imagegen::Hires {
                    by: 1.5,
                    strength: Strength::new(0.5).unwrap(),
                    steps: None,
                    with: Between::default(),
                }),
                ..imagegen::Sampling::default()
            },
            loras: Vec::new(),
            loras_settled: false,
            embeddings: Vec::new(),
            refiner: None,
            rule: StrengthRule::Share,
        },
    });
    let model = jobs.model(None).unwrap();
    let expected = model.run(&request, &mut Unwatched).unwrap();
    assert_eq!(job.results[0].recipe, expected.facts.recipe);
    assert_eq!((job.results[0].width, job.results[0].height), (144, 96));
    assert!(pixels(&jobs, &job.id, PictureKind::Result(0)) == expected.picture);
}

/// Steps of a job as they were told.
fn told(jobs: &Jobs, order: Order) -> Vec<(usize, usize)> {
    let mut events = jobs.subscribe();
    let id = jobs.submit(ANNA, order, None).unwrap().job.id;
    let said = said(&mut events, &id);
    assert_eq!(jobs.job(&id).unwrap().unwrap().state, State::Done);
    let steps = said.iter().filter_map(|event| match event {
        Event::Step(step) => Some((step.step, step.steps)),
        _ => None,
    });
    steps.collect()
}

#[test]
fn what_is_done_never_grows_less() {
    let place = Place::new();
    let jobs = place.open();
    let twice = |with: &str| {
        generate(|order| {
            order.sampling.hires = Some(Hires {
                with: Some(with.to_owned()),
                steps: Some(6),
                ..hires(2.0)
            });
        })
    };
    let steps: Vec<_> = (1..=7).map(|step| (step, 7)).collect();
    assert_eq!(told(&jobs, twice("lanczos")), steps, "4, and half of 6");
    // The network that enlarges says its windows between the passes.
    let drawn = told(&jobs, twice("realesr-animevideov3"));
    let repeated = [&steps[..4], &steps[3..]].concat();
    assert_eq!(drawn, repeated);
    let source = source(&jobs, 9);
    let upscale = |prompt: &str| {
        let kind = Kind::Upscale {
            source: source.sha256.clone(),
            by: 2,
            with: None,
            strength: None,
        };
        order(prompt, 10, kind)
    };
    assert_eq!(told(&jobs, upscale("")), [(1, 1)]);
    assert_eq!(told(&jobs, upscale("winter")), [(0, 2), (1, 2), (2, 2)]);
}

#[test]
fn tiles_work_at_a_sources_own_size() {
    let place = Place::new();
    let jobs = place.open();
    let limits = imagegen_picture::Limits::default();
    let png = crate::place::png(640, 448, 3);
    let source = pollster::block_on(jobs.put_source(ANNA, "a.png", png, &limits)).unwrap();
    for (tiles, side) in [(None, None), (Some(Tiles::On), Some(512))] {
        let mut order = order("winter", 1, transform(&source, 1));
        order.sampling.tiles = tiles.map(|tiles| tiles.name().to_owned());
        order.sampling.vae_tiling = Some("off".to_owned());
        let taken = jobs.submit(ANNA, order, None).unwrap().job;
        let job = over(&jobs, &taken.id);
        assert_eq!((job.state, &job.failure), (State::Done, &None));
        let recipe = &job.results[0].recipe;
        assert_eq!((recipe.tiles, recipe.vae_tiles), (side, None));
        assert_eq!(recipe.work_size == [640, 448], side.is_some());
    }
}

#[test]
fn what_cannot_be_is_refused_by_its_field() {
    let place = Place::new();
    let jobs = place.open_with(Limits {
        result_pixels: 20_000,
        ..Limits::default()
    });
    let second =
        |second: Hires| refused(&jobs, generate(|order| order.sampling.hires = Some(second)));
    for by in [1.0, 4.5, f64::NAN] {
        assert_eq!(second(hires(by)), ("hires.by", by.to_string()));
    }
    for strength in [0.0, 1.1] {
        let second = second(Hires {
            strength: Some(strength),
            ..hires(1.5)
        });
        assert_eq!(second, ("hires.strength", strength.to_string()));
    }
    let steps = second(Hires {
        steps: Some(0),
        ..hires(1.5)
    });
    assert_eq!(steps.0, "hires.steps");
    let with = second(Hires {
        with: Some("esrgan".to_owned()),
        ..hires(1.5)
    });
    assert_eq!(with, ("hires.with", "\"esrgan\"".to_owned()));
    // 96x64 are within the service's limit, 192x128 are not.
    assert_eq!(second(hires(2.0)), ("hires", "192x128".to_owned()));
    let (field, _) = refused(
        &jobs,
        generate(|order| order.sampling.tiles = Some("2".to_owned())),
    );
    assert_eq!(field, "tiles");
    let tiling = |order: &mut Order| order.sampling.vae_tiling = Some("yes".to_owned());
    assert_eq!(refused(&jobs, generate(tiling)).0, "vae_tiling");
    let large = |side: u32, by: f64| {
        let mut order = generate(|order| order.sampling.hires = Some(hires(by)));
        if let Kind::Generate { width, height, .. } = &mut order.kind {
            (*width, *height) = (side, side);
        }
        order
    };
    assert_eq!(refused(&jobs, large(2064, 1.5)).0, "width");
    assert_eq!(refused(&jobs, large(2048, 4.0)).0, "hires");
}

#[test]
fn another_model_runs_the_last_steps_and_both_stay_loaded() {
    let place = Place::new();
    let folder = place.path().join("second");
    starter_at(&folder);
    let models = vec![
        ModelSource::Starter.into(),
        ModelSource::Folder(folder).into(),
    ];
    // Room for neither beside the other, but for those of one order.
    let limits = Limits {
        memory: 1,
        ..Limits::default()
    };
    let jobs = Jobs::open(&place.data(), limits, cpu(), models).unwrap();
    let refined = |at: Option<f64>| {
        generate(|order| {
            order.sampling.refiner = Some("second".to_owned());
            order.sampling.refiner_at = at;
        })
    };
    let taken = jobs.submit(ANNA, refined(None), None).unwrap().job;
    assert_eq!(taken.order.sampling.refiner_at, Some(0.8));
    let job = over(&jobs, &taken.id);
    assert_eq!((job.state, &job.failure), (State::Done, &None));
    let mark = job.results[0].recipe.refiner.as_ref().unwrap();
    assert_eq!((&*mark.name, mark.at), ("second", 0.8));
    assert!(jobs.models().iter().all(|model| model.loaded));
    let speeds = || -> u32 {
        let sql = "SELECT count(*) FROM speeds";
        place
            .database()
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(speeds(), 0, "what two models took tells nothing of one");
    let plain = jobs.submit(ANNA, generate(|_| {}), None).unwrap().job;
    over(&jobs, &plain.id);
    assert_eq!(speeds(), 1);
    for at in [0.0, 1.5, f64::NAN] {
        assert_eq!(refused(&jobs, refined(Some(at))).0, "refiner_at");
    }
    let unknown = generate(|order| order.sampling.refiner = Some("third".to_owned()));
    assert_eq!(refused(&jobs, unknown), ("refiner", "\"third\"".to_owned()));
    let alone = generate(|order| order.sampling.refiner_at = Some(0.5));
    let error = jobs.submit(ANNA, alone, None).unwrap_err().to_string();
    assert_eq!(
        error,
        "refiner is none, expected a model that takes over at 0.5"
    );
}
