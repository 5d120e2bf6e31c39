//! SDXL and its refiner, one after the other on the same latents. `tools/reference/refined.py` made the references.

use std::sync::Arc;

use super::*;

/// Tiny SDXL, and the tiny refiner that ends what it begins.
fn pair() -> (Vec<tempfile::TempDir>, Model) {
    let (base_folder, base, _) = folder_of("sdxl");
    let (refiner_folder, refiner, _) = folder_of("refiner");
    let mut model = Model::load(&base, cpu()).unwrap();
    let refiner = Model::load(&refiner, cpu()).unwrap();
    model.refine_with(Arc::new(refiner)).unwrap();
    (vec![base_folder, refiner_folder], model)
}

fn runs() -> Vec<Value> {
    let facts: Value = serde_json::from_slice(&reference("refined.json")).unwrap();
    facts["runs"].as_array().unwrap().clone()
}

#[test]
fn refined_pictures_are_those_that_diffusers_makes() {
    let (_folders, model) = pair();
    runs_agree("refined", &model, "refined", runs().iter());
}

#[test]
fn recipes_name_the_refiner_and_are_carried_out_with_no_other() {
    let (_folders, model) = pair();
    let made = carry_out(&model, &runs()[0], &mut Unwatched);
    let recipe = made.facts.recipe;
    let mark = recipe.refiner.clone().unwrap();
    assert_eq!(mark.at, 0.6);
    assert_eq!(Some((&*mark.name, &*mark.sha256)), model.refiner());
    assert!(recipe.a1111(imagegen::Size::new(96, 64)).contains(&format!(
        "Refiner: {} [{:.10}], Refiner switch at: 0.6",
        mark.name, mark.sha256
    )));
    let request = recipe.request(None, None).unwrap();
    recipe
        .check_repetition(&model.plan(&request).unwrap())
        .unwrap();
    let again = model.run(&request, &mut Unwatched).unwrap();
    assert_eq!(again.picture, made.picture);

    // Without it, and for a recipe without one.
    let (_folder, source, _) = folder_of("sdxl");
    let alone = Model::load(&source, cpu()).unwrap();
    let error = alone.plan(&request).unwrap_err().to_string();
    assert_eq!(
        error,
        "refiner is none, expected a model that takes over at 0.6"
    );
    let mut run = runs()[0].clone();
    run.as_object_mut().unwrap().remove("at");
    let plain = carry_out(&alone, &run, &mut Unwatched);
    assert_eq!(plain.facts.recipe.refiner, None);
    assert!(!plain.facts.recipe.json().contains("refiner"));
    let request = plain.facts.recipe.request(None, None).unwrap();
    let again = model.run(&request, &mut Unwatched).unwrap();
    assert_eq!(
        again.picture, plain.picture,
        "a refiner that is there has no say"
    );
    // Where nothing is said, one that is there takes over at 0.8.
    let refined = carry_out(&model, &run, &mut Unwatched);
    assert_eq!(refined.facts.recipe.refiner.unwrap().at, 0.8);
    assert_ne!(refined.picture, plain.picture);
}

#[test]
fn steps_are_counted_through_both_models() {
    struct Steps(Vec<(usize, usize)>);
    impl Watcher for Steps {
        fn stage(&mut self, _: Stage) {}
        fn warning(&mut self, _: &Warning) {}
        fn step(&mut self, record: &StepRecord<'_>) -> ControlFlow<()> {
            self.0.push((record.step, record.steps));
            match record.step {
                4 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    let (_folders, model) = pair();
    let run = &runs()[0];
    let request = Generate {
        width: 96,
        height: 64,
        settings: settings(run),
    };
    let mut steps = Steps(Vec::new());
    let error = model.generate(&request, &mut steps).unwrap_err();
    assert_eq!(steps.0, [(1, 5), (2, 5), (3, 5), (4, 5)]);
    assert!(error.is_cancelled());
    assert_eq!(error.to_string(), "cancelled after step 4 of 5");
}

#[test]
fn refiners_of_other_latents_and_impossible_starts_are_named() {
    let (_folder, source, _) = folder_of("sdxl");
    let mut model = Model::load(&source, cpu()).unwrap();
    let (_folder, other, _) = folder_of("sd");
    let other = Arc::new(Model::load(&other, cpu()).unwrap());
    let error = model.refine_with(other).unwrap_err().to_string();
    assert!(
        error
            .contains("latents is 4 channels, 4 pixels a side, times 0.18215, expected 4 channels"),
        "{error}"
    );
    let (_folder, masked, _) = folder_of("sd_masked");
    let (_folder, plain, _) = folder_of("sd");
    let mut plain = Model::load(&plain, cpu()).unwrap();
    let masked = Arc::new(Model::load(&masked, cpu()).unwrap());
    let error = plain.refine_with(masked).unwrap_err().to_string();
    assert!(
        error.contains("sees of a source is other channels"),
        "{error}"
    );
    let (_folders, model) = pair();
    for at in [0.0, -0.5, 1.1, f64::NAN] {
        let mut run = runs()[0].clone();
        run["at"] = at.into();
        let mut settings = settings(&run);
        settings.sampling.refiner_at = Some(at);
        let request = Request::Generate(Generate {
            width: 96,
            height: 64,
            settings,
        });
        let error = model.plan(&request).unwrap_err().to_string();
        assert!(error.ends_with("expected above 0, up to 1"), "{error}");
    }
}

#[test]
fn a_refiner_weighs_the_negative_prompt_that_the_model_before_it_does_not_hear() {
    // The first hears the scale, and decodes with a small autoencoder on the same latents.
    let (_quick, source, facts) = folder_of("sd_quick");
    let (_plain, refiner, _) = folder_of("sd");
    let mut model = Model::load(&source, cpu()).unwrap();
    let refiner = Arc::new(Model::load(&refiner, cpu()).unwrap());
    model.refine_with(Arc::clone(&refiner)).unwrap();
    let made = |negative: &str| {
        let mut run = facts["runs"][1].clone();
        run["negative"] = negative.into();
        run["guidance"] = 5.0.into();
        run["steps"] = 4.into();
        run["at"] = 0.5.into();
        let made = carry_out(&model, &run, &mut Unwatched);
        assert!(!made.warnings.contains(&Warning::NegativeUnheard));
        made.picture
    };
    assert!(made("blurry") != made(""));

    // The other way round the refiner hears one text of weight 1.
    let (_plain, source, _) = folder_of("sd");
    let mut model = Model::load(&source, cpu()).unwrap();
    let (_quick, quick, _) = folder_of("sd_quick");
    let quick = Arc::new(Model::load(&quick, cpu()).unwrap());
    model.refine_with(quick).unwrap();
    let mut run = facts["runs"][1].clone();
    run["prompt"] = "oil AND painting".into();
    run["at"] = 0.5.into();
    let request = Request::Generate(Generate {
        width: 96,
        height: 64,
        settings: settings(&run),
    });
    let error = model.plan(&request).unwrap_err().to_string();
    assert!(error.contains("hears the guidance scale"), "{error}");
}

#[test]
fn words_that_a_refiner_reads_as_text_are_said_and_those_it_alone_knows_recorded() {
    let inversion = |word: &str, layout: &str| {
        let file = format!("inversion_{layout}.safetensors");
        Arc::new(Embedding::read(word, &file, reference(&file)).unwrap())
    };
    let (_folders, model) = pair();
    let mut run = runs()[0].clone();
    run["prompt"] = "big-fur, lake-toy".into();
    let mut settings = settings(&run);
    settings.embeddings = vec![
        inversion("big-fur", "towers"),
        inversion("lake-toy", "word"),
    ];
    let request = Generate {
        width: 96,
        height: 64,
        settings,
    };
    let made = model.generate(&request, &mut Unwatched).unwrap();
    let unfit = |name: &str, reader| Warning::EmbeddingUnfit {
        name: name.to_owned(),
        reader,
    };
    let said: Vec<_> = made
        .warnings
        .iter()
        .filter(|warning| matches!(warning, Warning::EmbeddingUnfit { .. }))
        .collect();
    assert_eq!(
        said,
        [
            &unfit("lake-toy", "this model"),
            &unfit("big-fur", "the refiner")
        ]
    );
    let names = made.facts.recipe.embeddings.iter();
    let names: Vec<_> = names.map(|mark| mark.name.as_str()).collect();
    assert_eq!(names, ["big-fur", "lake-toy"]);
}

#[test]
fn a_request_brings_a_refiner_of_its_own() {
    let (folders, pair) = pair();
    let at = |index: usize| ModelSource::Folder(folders[index].path().to_owned());
    let (source, refiner_source) = (at(0), at(1));
    let base = Model::load(&source, cpu()).unwrap();
    let refiner = Arc::new(Model::load(&refiner_source, cpu()).unwrap());
    let run = &runs()[0];
    let request = |refiner: Option<&Arc<Model>>, at| {
        let mut settings = settings(run);
        settings.refiner = refiner.cloned().map(RefinerUse::new);
        settings.sampling.refiner_at = at;
        Request::Generate(Generate {
            width: 96,
            height: 64,
            settings,
        })
    };
    let made = |model: &Model, request: &Request<'_>| model.run(request, &mut Unwatched).unwrap();
    let expected = made(&pair, &request(None, Some(0.6)));
    let plain = request(None, None);
    let alone = made(&base, &plain);
    let refined = request(Some(&refiner), Some(0.6));
    let brought = made(&base, &refined);
    assert_eq!(brought.facts.recipe, expected.facts.recipe);
    assert!(brought.picture == expected.picture);
    // It stays with its request, and 1 leaves it out.
    assert!(made(&base, &plain).picture == alone.picture);
    assert!(made(&base, &request(Some(&refiner), Some(1.0))).picture == alone.picture);
    let usual = base.plan(&request(Some(&refiner), None)).unwrap();
    assert_eq!(usual.refiner.unwrap().at, RefinerUse::AT);

    // Both are in memory.
    let least = |request: &Request<'_>| {
        let (mut short, mut enough) = (0, 1u64 << 32);
        while enough - short > 1 {
            let middle = (short + enough) / 2;
            match base.check_room(request, imagegen::Room::Within(middle)) {
                Ok(()) => enough = middle,
                Err(_) => short = middle,
            }
        }
        enough
    };
    let weights = ModelInfo::outline(&refiner_source).unwrap().memory.weights;
    let (one, both) = (least(&plain), least(&refined));
    assert!(both >= one + weights, "{one} {both} {weights}");

    // What does not fit is known before either is loaded, and refused.
    let [first, second] =
        [&source, &refiner_source].map(|source| ModelInfo::outline(source).unwrap());
    assert!(second.may_refine(&first) && first.may_refine(&second));
    let (_other, source, _) = folder_of("sd");
    let info = ModelInfo::outline(&source).unwrap();
    assert!(!info.may_refine(&first));
    let other = Arc::new(Model::load(&source, cpu()).unwrap());
    let error = base.plan(&request(Some(&other), None)).unwrap_err();
    assert!(
        error.to_string().contains("latents is 4 channels"),
        "{error}"
    );
    let (_masked, masked, _) = folder_of("sd_masked");
    let masked = ModelInfo::outline(&masked).unwrap();
    assert!(!masked.may_refine(&info) && !info.may_refine(&masked));
}

#[test]
fn parts_are_repainted_without_a_refiner() {
    let (_folder, model_source, _) = folder_of("sd");
    let model = Arc::new(Model::load(&model_source, cpu()).unwrap());
    let mut run = runs()[0].clone();
    run.as_object_mut().unwrap().remove("at");
    let mut settings = settings(&run);
    settings.refiner = Some(RefinerUse::new(Arc::clone(&model)));
    let source = source();
    let request = Inpaint {
        source: &source,
        mask: MaskRequest::default(),
        expand: Expand::default(),
        intent: Intent::Change,
        strength: None,
        content: None,
        area: None,
        edge: Edge::default(),
        settings,
    };
    let error = model.plan(&Request::Inpaint(request)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("expected none where a part is repainted, which one model does"),
        "{error}"
    );
}
