//! Textual inversions.

use super::*;

/// A textual inversion of the references.
fn inversion(word: &str, layout: &str) -> Embedding {
    let file = format!("inversion_{layout}.safetensors");
    Embedding::read(word, &file, reference(&file)).unwrap()
}

/// `tools/reference/textual_inversion.py` made the references.
#[test]
fn textual_inversions_of_every_layout_give_what_diffusers_gives() {
    let facts: Value = serde_json::from_slice(&reference("textual_inversion.json")).unwrap();
    for (kind, words) in [
        ("sd", vec![("lake-toy", "word"), ("<night-style>", "rows")]),
        ("sdxl", vec![("big-fur", "towers")]),
    ] {
        let (_folder, source, _) = folder_of(kind);
        let mut model = Model::load(&source, cpu()).unwrap();
        let words = words.iter().map(|(word, layout)| inversion(word, layout));
        model.learn(words.collect()).unwrap();
        let runs = facts["runs"].as_array().unwrap().iter();
        let runs = runs.filter(|run| run["kind"] == kind);
        runs_agree(kind, &model, "textual_inversion", runs);
    }
}

#[test]
fn a_learned_word_is_itself_in_any_capitals_and_is_recorded() {
    let (_folder, source, _) = folder_of("sd");
    let mut model = Model::load(&source, cpu()).unwrap();
    let of = |model: &Model, prompt: &str, negative: &str| {
        said(model, |settings| {
            settings.prompt = prompt.to_owned();
            settings.negative_prompt = negative.to_owned();
            settings.steps = Some(1);
        })
    };
    let before = of(&model, "a lake-toy", "");
    model
        .learn(vec![
            inversion("lake-toy", "word"),
            inversion("rows", "rows"),
        ])
        .unwrap();
    let after = of(&model, "a lake-toy", "");
    assert!(after.picture != before.picture);
    assert!(of(&model, "a <Lake-Toy>", "").picture == after.picture);
    assert!(of(&model, "a lake-toys", "").picture != after.picture);
    assert!(of(&model, "a (lake-toy:1.5)", "").picture != after.picture);
    let marks: Vec<_> = after
        .facts
        .recipe
        .embeddings
        .iter()
        .map(|mark| mark.name.as_str())
        .collect();
    assert_eq!(marks, ["lake-toy"]);
    assert_eq!(before.facts.recipe.embeddings, []);
    // Several vectors take several tokens, in negative prompts too.
    let both = of(&model, "lake-toy", "a rows");
    assert_eq!(both.facts.recipe.embeddings.len(), 2);
    assert_eq!(both.facts.prompts[1].parts[0].readings[0].tokens, 1 + 3);
    // Without the file the picture is not made again.
    let plain = Model::load(&source, cpu()).unwrap();
    let again = plain
        .plan(&both.facts.recipe.request(None, None).unwrap())
        .unwrap();
    let error = both
        .facts
        .recipe
        .check_repetition(&again)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("embeddings: lake-toy sha256") && error.contains("is none"),
        "{error}"
    );
}

#[test]
fn embeddings_that_cannot_be_are_named() {
    let (_folder, source, _) = folder_of("sd");
    let mut model = Model::load(&source, cpu()).unwrap();
    let mut refused = |embedding| model.learn(vec![embedding]).unwrap_err().to_string();
    assert_eq!(
        refused(inversion("fur", "towers")),
        "cannot use the embedding: inversion_towers.safetensors is a textual inversion of width 16 and 24, expected \
         24, which this model's text encoders have"
    );
    model.learn(vec![inversion("fur", "word")]).unwrap();
    let error = model
        .learn(vec![inversion("Fur", "rows")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected a name for each"), "{error}");
    let read = |name: &str, bytes: Vec<u8>| {
        let read = Embedding::read(name, "x.safetensors", bytes);
        read.unwrap_err().to_string()
    };
    let word = || reference("inversion_word.safetensors");
    assert!(read("a:b", word()).contains("expected a word without brackets"));
    assert!(read(" ", word()).contains("expected a word without brackets"));
    let unet = reference("clip_text_quick_gelu.safetensors");
    assert!(read("x", unet).contains("expected one of a textual inversion"));
    assert!(read("x", b"<html>".to_vec()).contains("x.safetensors"));
    let mut cut = word();
    cut.truncate(cut.len() - 1);
    assert!(read("x", cut).contains("cut off"));
}
