//! How prompts are read: with the grammar and without.

use super::*;

/// `tools/reference/prompt_grammar.py` made the references.
#[test]
fn prompts_with_grammar_give_what_its_rule_gives_in_diffusers() {
    let facts: Value = serde_json::from_slice(&reference("prompt_grammar.json")).unwrap();
    for kind in ["sd", "sdxl"] {
        let (_folder, source, _) = folder_of(kind);
        let model = Model::load(&source, cpu()).unwrap();
        let runs = facts["runs"].as_array().unwrap().iter();
        let runs = runs.filter(|run| run["kind"] == kind);
        runs_agree(kind, &model, "prompt_grammar", runs);
    }
}

fn picture_of(model: &Model, prompt: &str, sampler: &str) -> Picture {
    let outcome = said(model, |settings| {
        settings.prompt = prompt.to_owned();
        settings.sampler = Some(sampler.parse().unwrap());
    });
    outcome.picture
}

#[test]
fn edits_switch_by_steps_whatever_a_sampler_calls() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    for sampler in [
        "euler",
        "heun",
        "dpm2",
        "dpmpp_2s_a",
        "dpmpp_sde",
        "pndm",
        "unipc",
    ] {
        let of = |prompt| picture_of(&model, prompt, sampler);
        let (dog, cat) = (of("a lake"), of("winter"));
        assert!(dog != cat, "{sampler}");
        assert!(of("[a lake:winter:99]") == dog, "{sampler}");
        assert!(of("[a lake:winter:0]") == cat, "{sampler}");
        let half = of("[a lake:winter:4]");
        assert!(half != dog && half != cat, "{sampler}");
        if sampler != "pndm" {
            // Its list of levels has one more.
            assert!(of("[a lake:winter:8]") == dog, "{sampler}");
            assert!(of("[a lake:winter:0.5]") == half, "{sampler}");
            assert!(of("[a lake : winter : 0.5 ]") == half, "{sampler}");
        }
    }
}

#[test]
fn shares_count_the_steps_that_run() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let picture = self::source();
    let of = |prompt: &str| {
        let mut request = Transform {
            source: &picture,
            strength: Strength::new(0.5).unwrap(),
            size: Wanted::Source,
            fit: Fit::Keep,
            enlarge: None,
            settings: said(&model, |_| ())
                .facts
                .recipe
                .request(None, None)
                .map(|request| match request {
                    imagegen::Request::Generate(generate) => generate.settings,
                    _ => panic!("a picture of text alone"),
                })
                .unwrap(),
        };
        request.settings.prompt = prompt.to_owned();
        model.transform(&request, &mut Unwatched).unwrap()
    };
    // Of 8 steps 4 run: half of them are 2.
    let half = of("[a lake:winter:0.5]");
    assert_eq!(half.facts.runs, 4);
    assert!(half.picture == of("[a lake:winter:2]").picture);
    assert!(half.picture != of("[a lake:winter:1]").picture);
    let never = of("[a lake:winter:4]");
    assert!(never.picture == of("a lake").picture);
    let said: Vec<_> = never.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["the prompt has 1 edit whose second side never comes in the 4 steps that run"]
    );
}

#[test]
fn a_prompt_without_grammar_is_the_same_in_both_modes() {
    for kind in ["sd", "sdxl"] {
        let (_folder, source, _) = folder_of(kind);
        let model = Model::load(&source, cpu()).unwrap();
        let of = |prompt: &str, mode| {
            said(&model, |settings| {
                settings.prompt = prompt.to_owned();
                settings.negative_prompt = "blurry, low contrast".to_owned();
                settings.prompt_mode = mode;
                settings.steps = Some(2);
            })
        };
        let words = "oil painting of a lake, warm palette";
        assert!(of(words, PromptMode::A1111).picture == of(words, PromptMode::Plain).picture);
        let brackets = "(oil painting:1.5) [lake]";
        let plain = of(brackets, PromptMode::Plain);
        assert!(plain.picture != of(brackets, PromptMode::A1111).picture);
        assert_eq!(plain.warnings, []);
        assert_eq!(plain.facts.recipe.prompt_mode, None);
        // What plain mode cuts, the grammar reads.
        let long = "winter ".repeat(100);
        let cut = of(&long, PromptMode::Plain);
        let limit = 75;
        let which = "prompt";
        assert_eq!(
            cut.warnings,
            [Warning::PromptCut {
                which,
                dropped: 25,
                limit
            }]
        );
        let read = of(&long, PromptMode::A1111);
        assert_eq!(read.warnings, []);
        assert!(read.picture != cut.picture);
    }
}

#[test]
fn how_a_prompt_was_read_is_recorded() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let outcome = said(&model, |settings| {
        settings.prompt = "a [lake|river] :0.5 AND (winter:1.5) BREAK night".to_owned();
    });
    let [prompt, negative] = outcome.facts.prompts.as_slice() else {
        panic!("{:?}", outcome.facts.prompts);
    };
    assert_eq!(
        (prompt.which, negative.which),
        ("prompt", "negative prompt")
    );
    let weights: Vec<_> = prompt.parts.iter().map(|part| part.weight).collect();
    assert_eq!(weights, [0.5, 1.0]);
    let [lake, river] = prompt.parts[0].readings.as_slice() else {
        panic!("{:?}", prompt.parts[0]);
    };
    assert_eq!(
        [lake.first_step, lake.steps, lake.windows, lake.tokens],
        [1, 4, 1, 2]
    );
    assert_eq!([river.first_step, river.steps], [2, 4]);
    let winter = &prompt.parts[1].readings[0];
    assert_eq!(
        [
            winter.first_step,
            winter.steps,
            winter.windows,
            winter.tokens
        ],
        [1, 8, 2, 2]
    );
    assert!(winter.pieces.contains(&imagegen::Piece::Break));
    let work = |prompt: &str| {
        let mut settings = outcome.facts.recipe.clone();
        settings.prompt = prompt.to_owned();
        model
            .work(&settings.request(None, None).unwrap())
            .unwrap()
            .calls
    };
    assert_eq!((work("a lake"), work("a AND b AND c")), (8 * 2, 8 * 4));
}

#[test]
fn prompts_that_cannot_be_read_are_refused_before_the_run() {
    let (_folder, source, _) = folder_of("sd_quick");
    let model = Model::load(&source, cpu()).unwrap();
    let mut recipe = said(&model, |_| ()).facts.recipe;
    for (prompt, error) in [
        (
            "a <lora:fur:0.5>",
            "prompt is naming the LoRA \"fur\", expected none",
        ),
        (
            "<hypernet:x>",
            "the prompt cannot be read: <hypernet:x> names a hypernetwork",
        ),
        (
            "a AND b",
            "expected one part of weight 1: this model hears the guidance scale",
        ),
    ] {
        recipe.prompt = prompt.to_owned();
        let mut request = recipe.request(None, None).unwrap();
        request.settings_mut().loras_settled = false;
        let refused = model.plan(&request).unwrap_err().to_string();
        assert!(refused.contains(error), "{refused}");
    }
}
