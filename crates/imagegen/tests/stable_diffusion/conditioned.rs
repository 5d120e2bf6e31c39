//! Networks that see a mask or their source, and inpainting with those that do not.

use super::*;

#[test]
fn inpainting_with_networks_made_for_it_gives_what_diffusers_gives() {
    agrees_with_diffusers("sd_masked");
}

#[test]
fn inpainting_with_ordinary_networks_gives_what_diffusers_gives() {
    agrees_with_diffusers("sd_held");
}

#[test]
fn editing_as_told_gives_what_diffusers_gives() {
    agrees_with_diffusers("sd_edit");
}

#[test]
fn repainting_a_part_of_the_picture_gives_what_diffusers_gives() {
    for kind in ["sd_masked", "sd_held"] {
        let (folder, source, facts) = folder_of(kind);
        // A model of so few pixels that the part is worked on at its own size.
        edit(&folder.path().join("unet/config.json"), |config| {
            config["sample_size"] = 18.into();
        });
        let model = Model::load(&source, cpu()).unwrap();
        let runs = facts["runs"].as_array().unwrap().iter();
        let crops: Vec<_> = runs.filter(|run| !run["crop"].is_null()).collect();
        assert_eq!(crops.len(), 1);
        runs_agree(kind, &model, &format!("pipeline_{kind}"), crops.into_iter());
    }
}

#[test]
fn networks_made_for_inpainting_ask_for_a_mask() {
    let (_folder, source, facts) = folder_of("sd_masked");
    let model = Model::load(&source, cpu()).unwrap();
    assert_eq!(ModelInfo::read(&source).unwrap().kind.sees, Sees::Mask);
    let settings = settings(&facts["runs"][0]);
    let picture = self::source();
    let transform = Request::Transform(Transform {
        source: &picture,
        strength: Strength::new(0.5).unwrap(),
        size: Wanted::Source,
        fit: Fit::Keep,
        enlarge: None,
        settings: settings.clone(),
    });
    let generate = Request::Generate(Generate {
        width: 64,
        height: 64,
        settings,
    });
    for request in [transform, generate] {
        let error = model.run(&request, &mut Unwatched).unwrap_err().to_string();
        assert!(
            error.contains("is made for inpainting, got a request without a mask"),
            "{error}"
        );
    }
}

#[test]
fn guidance_by_the_source_is_for_networks_that_are_instructed() {
    let (_folder, source, facts) = folder_of("sd_edit");
    assert_eq!(
        ModelInfo::read(&source).unwrap().kind.sees,
        Sees::InstructedSource
    );
    assert_eq!(Defaults::read(&source).unwrap().strength, 1.0);
    let model = Model::load(&source, cpu()).unwrap();
    let run = &facts["runs"][0];
    let made = carry_out(&model, run, &mut Unwatched);
    assert_eq!(made.facts.recipe.image_guidance, Some(1.5));
    let mut bad = settings(run);
    bad.sampling.image_guidance = Some(101.0);
    let refused = |model: &Model, settings: Settings| {
        let request = Generate {
            width: 64,
            height: 64,
            settings,
        };
        let error = model.generate(&request, &mut Unwatched).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        refused(&model, bad),
        "image guidance is 101, expected 0 to 100"
    );
    let (_folder, source, _) = folder_of("sd_v");
    let plain = Model::load(&source, cpu()).unwrap();
    assert_eq!(
        refused(&plain, settings(run)),
        "image guidance is 1.5, expected none with this model, which is not instructed (InstructPix2Pix)"
    );
}
