//! Layers of text encoders that are left out.

use super::*;

/// `tools/reference/clip_skip.py` made the references.
#[test]
fn layers_are_left_out_as_diffusers_leaves_them_out() {
    let facts: Value = serde_json::from_slice(&reference("clip_skip.json")).unwrap();
    for kind in ["sd", "sdxl"] {
        let (_folder, source, _) = folder_of(kind);
        let model = Model::load(&source, cpu()).unwrap();
        let runs = facts["runs"].as_array().unwrap().iter();
        let runs = runs.filter(|run| run["kind"] == kind);
        runs_agree(kind, &model, "clip_skip", runs);
    }
}

fn skipping(model: &Model, skip: Option<usize>) -> Outcome {
    said(model, |settings| {
        settings.negative_prompt = "blurry".to_owned();
        settings.sampling.clip_skip = skip;
    })
}

#[test]
fn the_models_own_layer_is_1_and_nothing_is_left_of_an_earlier_request() {
    for kind in ["sd", "sdxl"] {
        let (_folder, source, _) = folder_of(kind);
        let model = Model::load(&source, cpu()).unwrap();
        let own = skipping(&model, None);
        let two = skipping(&model, Some(2));
        assert!(two.picture != own.picture, "{kind}");
        let one = skipping(&model, Some(1));
        assert!(one.picture == own.picture, "{kind}");
        assert_eq!(one.facts.recipe, own.facts.recipe);
        assert!(!own.facts.recipe.json().contains("clip_skip"));
        let fresh = Model::load(&source, cpu()).unwrap();
        assert!(skipping(&fresh, Some(2)).picture == two.picture, "{kind}");
        assert_eq!(two.facts.recipe.clip_skip, Some(2));
        let request = two.facts.recipe.request(None, None).unwrap();
        let again = fresh.run(&request, &mut Unwatched).unwrap();
        assert!(again.picture == two.picture, "{kind}");
        let size = imagegen::Size::new(64, 64);
        assert!(two.facts.recipe.a1111(size).contains("Clip skip: 2"));
        assert!(!own.facts.recipe.a1111(size).contains("Clip skip"));
    }
}

/// AUTOMATIC1111 leaves layers out for both texts, diffusers for the prompt alone.
#[test]
fn negative_prompts_are_read_whole_under_rule_diffusers_alone() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let of = |prompt: &str, rule, skip| {
        said(&model, |settings| {
            settings.prompt = prompt.to_owned();
            settings.negative_prompt = "winter".to_owned();
            // The negative prompt alone.
            settings.guidance_scale = Some(0.0);
            settings.sampling.clip_skip = skip;
            settings.rule = rule;
        })
        .picture
    };
    let [share, diffusers] = [StrengthRule::Share, StrengthRule::Diffusers];
    assert!(of("a", share, None) != of("a", share, Some(2)));
    assert!(of("a", diffusers, None) == of("a", diffusers, Some(2)));
}

#[test]
fn more_layers_than_there_are_cannot_be_left_out() {
    for (kind, most) in [("sd", 3), ("sdxl", 3)] {
        let (_folder, source, _) = folder_of(kind);
        assert_eq!(ModelInfo::read(&source).unwrap().clip_skip, most);
        let model = Model::load(&source, cpu()).unwrap();
        skipping(&model, Some(most));
        for skip in [0, most + 1, usize::MAX] {
            let mut recipe = said(&model, |_| ()).facts.recipe;
            recipe.clip_skip = Some(skip);
            let request = recipe.request(None, None).unwrap();
            let error = model.plan(&request).unwrap_err().to_string();
            let said = format!("clip skip is {skip}, expected 1 to {most} with this model");
            assert_eq!(error, said);
        }
    }
}
