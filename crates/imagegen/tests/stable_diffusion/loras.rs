//! LoRAs in runs.

use std::sync::Arc;

use imagegen::{Error, Lora, LoraUse};
use safetensors::tensor::TensorView;

use super::*;

/// A LoRA of `tools/reference/lora.py`.
pub(crate) fn lora(case: &str) -> Arc<Lora> {
    let file = format!("lora_{case}.safetensors");
    Arc::new(Lora::read(case, &file, reference(&file)).unwrap())
}

pub(crate) fn used(case: &str, weight: f64) -> LoraUse {
    LoraUse {
        lora: lora(case),
        weight,
    }
}

/// A picture of one step by the tiny model with LoRAs.
fn with(model: &Model, loras: &[LoraUse]) -> Outcome {
    said(model, |settings| {
        settings.steps = Some(1);
        settings.loras = loras.to_vec();
    })
}

fn refused(model: &Model, loras: &[LoraUse]) -> Error {
    let run = serde_json::json!({
        "prompt": "", "negative": null, "steps": 1, "guidance": 1.0, "seed": 3, "sampler": "euler",
        "image_guidance": null,
    });
    let mut settings = settings(&run);
    settings.loras = loras.to_vec();
    let request = Generate {
        width: 64,
        height: 64,
        settings,
    };
    let error = model.generate(&request, &mut Unwatched).unwrap_err();
    let planned = model.plan(&Request::Generate(request)).unwrap_err();
    assert_eq!(planned.to_string(), error.to_string());
    error
}

/// A LoRA of the references with six more tensors of a module that no model has.
fn with_six_more(case: &str) -> Arc<Lora> {
    let bytes = reference(&format!("lora_{case}.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let zeros = [0; 8];
    let mut all: Vec<(String, TensorView<'_>)> = tensors.tensors();
    for module in ["a", "b"] {
        for (end, shape) in [
            ("lora_down.weight", vec![1, 2]),
            ("lora_up.weight", vec![2, 1]),
            ("alpha", vec![2]),
        ] {
            let shape = if end == "alpha" { vec![1] } else { shape };
            let length = 4 * shape.iter().product::<usize>();
            let view = TensorView::new(safetensors::Dtype::F32, shape, &zeros[..length]);
            let name = format!("lora_unet_odd_blocks_{module}.{end}");
            all.push((name, view.unwrap()));
        }
    }
    let bytes = safetensors::serialize(all, None).unwrap();
    Arc::new(Lora::read("odd", "odd.safetensors", bytes).unwrap())
}

/// `tools/reference/lora_pipelines.py` made the references.
#[test]
fn loras_give_what_diffusers_gives() {
    let facts: Value = serde_json::from_slice(&reference("lora_pipelines.json")).unwrap();
    for kind in ["sd", "sdxl"] {
        let (_folder, source, _) = folder_of(kind);
        let model = Model::load(&source, cpu()).unwrap();
        let runs = facts["runs"].as_array().unwrap().iter();
        let runs = runs.filter(|run| run["kind"] == kind);
        runs_agree(kind, &model, "lora_pipelines", runs);
    }
}

#[test]
fn switching_loras_ten_times_leaves_nothing_behind() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let sets = [
        vec![],
        vec![used("sd_kohya", 0.8)],
        vec![used("sd_peft", 0.5), used("sd_kohya", -0.3)],
        vec![used("sd_kohya", 0.5)],
    ];
    let firsts = sets.each_ref().map(|set| {
        // A model of its own each, which has known no other.
        let alone = Model::load(&source, cpu()).unwrap();
        with(&alone, set).picture
    });
    for (index, first) in firsts.iter().enumerate() {
        assert!(firsts[..index].iter().all(|other| other != first));
    }
    for turn in 0..10 {
        let which = (turn * 3 + turn / 4) % sets.len();
        let made = with(&model, &sets[which]);
        assert!(made.picture == firsts[which], "set {which} in turn {turn}");
        assert_eq!(made.warnings, []);
    }
}

#[test]
fn a_lora_in_the_text_encoder_alone_is_heard_in_words_that_were_encoded_before() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let bytes = reference("lora_sd_kohya.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let text = tensors.tensors().into_iter();
    let text = text.filter(|(name, _)| name.starts_with("lora_te_"));
    let bytes = safetensors::serialize(text, None).unwrap();
    let lora = Arc::new(Lora::read("text", "text.safetensors", bytes).unwrap());
    let loras = [LoraUse { lora, weight: 1.0 }];
    let before = with(&model, &[]).picture;
    assert!(with(&model, &loras).picture != before);
    assert!(with(&model, &[]).picture == before);
}

#[test]
fn weights_of_one_file_add_up_and_nothing_weighs_nothing() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let plain = with(&model, &[]);
    let none = with(
        &model,
        &[
            used("sd_kohya", 0.0),
            used("sd_peft", 0.5),
            used("sd_peft", -0.5),
        ],
    );
    assert!(none.picture == plain.picture);
    assert_eq!(none.facts.recipe, plain.facts.recipe);
    assert!(!plain.facts.recipe.json().contains("lora"));
    let once = with(&model, &[used("sd_kohya", 0.75)]);
    let twice = with(&model, &[used("sd_kohya", 0.5), used("sd_kohya", 0.25)]);
    assert!(once.picture == twice.picture && once.picture != plain.picture);
    assert_eq!(once.facts.recipe, twice.facts.recipe);
}

#[test]
fn weights_beyond_the_range_are_bounded_and_those_that_are_no_numbers_refused() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let most = with(&model, &[used("sd_kohya", 10.0)]);
    assert_eq!(most.warnings, []);
    let beyond = with(&model, &[used("sd_kohya", 12.5)]);
    assert!(beyond.picture == most.picture);
    assert_eq!(beyond.facts.recipe, most.facts.recipe);
    let words = beyond.warnings[0].to_string();
    assert_eq!(
        words,
        "the LoRA \"sd_kohya\" weighs 12.5, which is bounded to 10"
    );
    for weight in [f64::NAN, f64::INFINITY] {
        let error = refused(&model, &[used("sd_kohya", weight)]).to_string();
        assert!(
            error.starts_with("the weight of LoRA \"sd_kohya\" is "),
            "{error}"
        );
        assert!(error.ends_with("a number from -10 to 10"), "{error}");
    }
}

#[test]
fn parts_that_belong_to_nothing_are_counted_and_named() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let whole = with(&model, &[used("sd_kohya", 0.8)]);
    let lora = with_six_more("sd_kohya");
    let odd = with(&model, &[LoraUse { lora, weight: 0.8 }]);
    assert!(odd.picture == whole.picture);
    let said: Vec<_> = odd.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "6 tensors are not used of the LoRA \"odd\": this model has no layer for them, the first is \
             \"lora_unet_odd_blocks_a\""
        ]
    );
}

#[test]
fn loras_of_other_models_are_refused_before_the_run() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let error = refused(&model, &[used("sdxl_kohya", 1.0)]).to_string();
    assert!(
        error.starts_with(
            "cannot use the LoRA: lora_sdxl_kohya.safetensors does not fit this model"
        ),
        "{error}"
    );
    assert!(error.contains("seems made for SDXL"), "{error}");
    // At weight 0 it is not there.
    let none = with(&model, &[used("sdxl_kohya", 0.0)]);
    assert_eq!(none.warnings, []);
    let starter = Model::load(ModelSource::Starter, cpu()).unwrap();
    let error = refused(&starter, &[used("sd_kohya", 1.0)]).to_string();
    assert!(error.contains("does not fit this model"), "{error}");
}

#[test]
fn recipes_name_loras_and_repetitions_need_them() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let made = with(&model, &[used("sd_kohya", 0.8), used("sd_peft", -0.25)]);
    let recipe = &made.facts.recipe;
    let marks: Vec<_> = recipe
        .loras
        .iter()
        .map(|mark| (mark.name.as_str(), mark.weight))
        .collect();
    assert_eq!(marks, [("sd_kohya", 0.8), ("sd_peft", -0.25)]);
    let read: imagegen::Recipe = serde_json::from_str(&recipe.json()).unwrap();
    assert_eq!(read, *recipe);
    let text = recipe.a1111(imagegen::Size::new(64, 64));
    let [first, second] = [0, 1].map(|index| recipe.loras[index].short_hash.as_str());
    let hashes = format!("Lora hashes: \"sd_kohya: {first}, sd_peft: {second}\"");
    assert!(text.contains(&hashes), "{text}");
    let mut request = recipe.request(None, None).unwrap();
    let error = recipe
        .check_repetition(&model.plan(&request).unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.contains(&recipe.loras[0].sha256), "{error}");
    let error = recipe.loras(&[lora("sd_peft")]).unwrap_err().to_string();
    let sha256 = &recipe.loras[0].sha256;
    assert_eq!(
        error,
        format!("the LoRA sd_kohya (sha256 {sha256}) is missing, expected its file")
    );
    request.settings_mut().loras = recipe
        .loras(&[lora("sd_peft"), lora("sd_kohya"), lora("sd_mid")])
        .unwrap();
    recipe
        .check_repetition(&model.plan(&request).unwrap())
        .unwrap();
    let again = model.run(&request, &mut Unwatched).unwrap();
    assert!(again.picture == made.picture);
}

/// The hash that AUTOMATIC1111 knows a LoRA by is that of what stands behind the header.
#[test]
fn the_short_hash_does_not_depend_on_notes() {
    let bytes = reference("lora_sd_kohya.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let notes = [("ss_output_name".to_owned(), "Fur 2".to_owned())];
    let noted = safetensors::serialize(tensors.tensors(), Some(notes.into())).unwrap();
    let read = |bytes| Arc::new(Lora::read("x", "x.safetensors", bytes).unwrap());
    let (first, second) = (read(bytes), read(noted));
    assert_ne!(first.sha256, second.sha256);
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let mark = |lora: &Arc<Lora>| {
        let (lora, weight) = (Arc::clone(lora), 0.5);
        with(&model, &[LoraUse { lora, weight }]).facts.recipe.loras[0].clone()
    };
    assert_eq!(mark(&first).short_hash, mark(&second).short_hash);
    assert_eq!(mark(&first).short_hash.len(), 12);
    assert!(second.is_called("fur 2") && second.is_called("styles/X") && !first.is_called("fur 2"));
}

#[test]
fn tags_in_prompts_name_loras_that_are_given() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let tagged = |prompt: &str, loras: &[LoraUse]| {
        said(&model, |settings| {
            settings.prompt = prompt.to_owned();
            settings.steps = Some(1);
            settings.loras = loras.to_vec();
        })
    };
    let loras = [used("sd_kohya", 0.8)];
    let option = tagged("oil painting", &loras);
    let tag = tagged("oil painting<lora:sd_kohya:0.8>", &loras);
    assert!(option.picture == tag.picture);
    assert_eq!(option.facts.recipe.loras, tag.facts.recipe.loras);
    let refused = |prompt: &str, negative: &str, mode| {
        let run = serde_json::json!({
            "prompt": prompt, "negative": negative, "steps": 1, "guidance": 3.0, "seed": 3, "sampler": "euler",
            "image_guidance": null,
        });
        let mut settings = settings(&run);
        settings.prompt_mode = mode;
        settings.loras = loras.to_vec();
        let request = Generate {
            width: 64,
            height: 64,
            settings,
        };
        let plan = model.plan(&Request::Generate(request));
        plan.err()
            .map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(
        refused("a <lora:fur:1>", "", PromptMode::A1111),
        "prompt is naming the LoRA \"fur\", expected one of those given: sd_kohya"
    );
    assert_eq!(refused("a <lora:fur:0>", "", PromptMode::A1111), "");
    assert_eq!(refused("a <lora:fur:1>", "", PromptMode::Plain), "");
    assert_eq!(
        refused("a", "<lora:sd_kohya:1>", PromptMode::A1111),
        "negative prompt is naming the LoRA \"sd_kohya\", expected it in the prompt: a LoRA changes the networks, for \
         both texts"
    );
}

#[test]
fn a_repetition_takes_loras_as_recorded_whatever_tags_and_files_are_called() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let made = |loras: Vec<LoraUse>| {
        said(&model, |settings| {
            settings.prompt = "oil painting<lora:sd_kohya:0.8>".to_owned();
            settings.steps = Some(1);
            settings.loras = loras;
        })
    };
    let again = |made: &Outcome, given: &[Arc<Lora>]| {
        let recipe = &made.facts.recipe;
        let mut request = recipe.request(None, None).unwrap();
        request.settings_mut().loras = recipe.loras(given).unwrap();
        recipe
            .check_repetition(&model.plan(&request).unwrap())
            .unwrap();
        model.run(&request, &mut Unwatched).unwrap()
    };
    let renamed = Lora::read(
        "other",
        "other.safetensors",
        reference("lora_sd_kohya.safetensors"),
    );
    let weighed = made(vec![used("sd_kohya", 0.8)]);
    assert!(again(&weighed, &[Arc::new(renamed.unwrap())]).picture == weighed.picture);
    // Weights that cancel leave nothing to be recorded.
    let cancelled = made(vec![used("sd_kohya", 0.8), used("sd_kohya", -0.8)]);
    assert_eq!(cancelled.facts.recipe.loras, []);
    assert!(again(&cancelled, &[]).picture == cancelled.picture);
    assert!(cancelled.picture != weighed.picture);
}

#[test]
fn models_whose_files_changed_are_not_mixed() {
    let (folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let before = with(&model, &[]).picture;
    let path = folder
        .path()
        .join("unet/diffusion_pytorch_model.fp16.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::thread::sleep(std::time::Duration::from_millis(20)); // clocks of file systems are coarse
    fs::write(&path, bytes).unwrap();
    let run = |loras: Vec<LoraUse>| {
        let run = serde_json::json!({
            "prompt": "oil painting", "negative": null, "steps": 1, "guidance": 3.0, "seed": 3, "sampler": "euler",
            "image_guidance": null,
        });
        let mut settings = settings(&run);
        settings.rule = StrengthRule::Share;
        settings.loras = loras;
        let request = Generate {
            width: 64,
            height: 64,
            settings,
        };
        model.generate(&request, &mut Unwatched)
    };
    let error = run(vec![used("sd_kohya", 1.0)]).unwrap_err().to_string();
    assert!(
        error.contains("is another one than when it was loaded"),
        "{error}"
    );
    assert!(run(Vec::new()).unwrap().picture == before);
}
