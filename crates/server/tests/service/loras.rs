//! LoRAs and embeddings over HTTP.

use std::fs;
use std::path::Path;

use imagegen::ModelSource;
use imagegen::files::{Shelf, Shelves};
use imagegen_conformance::weights::{reference, write_folder};
use imagegen_server::Offer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hall::{Hall, json_of, refusal, text};

/// A tiny Stable Diffusion model, two LoRAs and an embedding.
fn shelves() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_folder("sd", &folder.path().join("tiny"));
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put(
        "loras/styles/fur.safetensors",
        &reference("lora_sd_kohya.safetensors"),
    );
    put(
        "loras/big.safetensors",
        &reference("lora_sdxl_kohya.safetensors"),
    );
    put("loras/broken.safetensors", b"<html>");
    put(
        "words/lake-toy.safetensors",
        &reference("inversion_word.safetensors"),
    );
    put("secret.safetensors", &reference("lora_sd_peft.safetensors"));
    folder
}

fn offer(folder: &Path) -> Offer {
    Offer {
        models: vec![
            ModelSource::Folder(folder.join("tiny")).into(),
            ModelSource::Starter.into(),
        ]
        .into(),
        shelves: Shelves {
            loras: Some(Shelf::open(&folder.join("loras")).unwrap()),
            embeddings: Some(Shelf::open(&folder.join("words")).unwrap()),
        },
    }
}

async fn hall() -> (TempDir, Hall) {
    let folder = shelves();
    let path = folder.path().to_owned();
    let hall = Hall::offering(move || offer(&path)).await;
    (folder, hall)
}

fn order(prompt: &str, loras: Value) -> Value {
    json!({
        "prompt": prompt, "width": 64, "height": 64, "steps": 1, "guidance_scale": 1, "seed": 5, "loras": loras,
    })
}

/// The result's bytes and what the job says of it.
async fn made(hall: &Hall, body: &Value) -> (Vec<u8>, Value) {
    let id = hall.order("/generations", body).await;
    let events = hall.follow(&id).await;
    let (name, job) = events.last().unwrap();
    assert_eq!(name, "done", "{job}");
    let answer = hall.get(&format!("/jobs/{id}/results/0")).await;
    (answer.bytes().await.unwrap().to_vec(), job.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn loras_and_embeddings_are_listed_with_what_they_are_for() {
    let (folder, hall) = hall().await;
    let size = |case: &str| reference(&format!("{case}.safetensors")).len();
    assert_eq!(
        json_of(hall.get("/loras").await, 200).await,
        json!([
            {"name": "big", "family": "SDXL", "bytes": size("lora_sdxl_kohya")},
            {"name": "fur", "family": null, "bytes": size("lora_sd_kohya")},
        ])
    );
    assert_eq!(
        json_of(hall.get("/embeddings").await, 200).await,
        json!([{"name": "lake-toy", "family": null, "bytes": size("inversion_word")}])
    );
    fs::remove_file(folder.path().join("loras/big.safetensors")).unwrap();
    let left = json_of(hall.get("/loras").await, 200).await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    let plain = Hall::open().await;
    assert_eq!(json_of(plain.get("/loras").await, 200).await, json!([]));
    assert_eq!(
        json_of(plain.get("/embeddings").await, 200).await,
        json!([])
    );
    let body = order("a", json!([{"name": "fur"}]));
    let refused = refusal(plain.post("/generations", &body).await, 422).await;
    assert_eq!(
        refused,
        ("invalid_value".to_owned(), Some("loras".to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_and_tags_give_the_same_picture_and_are_told() {
    let (_folder, hall) = hall().await;
    let (plain, _) = made(&hall, &order("painting", json!([]))).await;
    let (field, job) = made(
        &hall,
        &order("painting", json!([{"name": "fur", "weight": 0.5}])),
    )
    .await;
    assert_eq!(
        job["order"]["loras"],
        json!([{"name": "fur", "weight": 0.5}])
    );
    let lora = &job["results"][0]["recipe"]["loras"][0];
    assert_eq!(
        (&lora["name"], &lora["weight"]),
        (&json!("fur"), &json!(0.5))
    );
    let (tag, job) = made(&hall, &order("painting<lora:fur:0.5>", json!([]))).await;
    assert_eq!(job["order"]["loras"], json!([]));
    assert_eq!(&job["results"][0]["recipe"]["loras"][0], lora);
    let pixels = |bytes: &[u8]| {
        let limits = imagegen_picture::Limits::default();
        imagegen_picture::decode(bytes, &limits).unwrap().picture
    };
    assert!(pixels(&field) == pixels(&tag));
    assert!(pixels(&field) != pixels(&plain));
    // What came before leaves nothing behind.
    let (again, _) = made(&hall, &order("painting", json!([]))).await;
    assert!(again == plain);
    let (word, job) = made(&hall, &order("a lake-toy", json!([]))).await;
    assert_eq!(
        job["results"][0]["recipe"]["embeddings"][0]["name"],
        "lake-toy"
    );
    let (plain, job) = made(&hall, &order("a lake-toys", json!([]))).await;
    assert!(job["results"][0]["recipe"].get("embeddings").is_none());
    assert!(pixels(&word) != pixels(&plain));
}

#[tokio::test(flavor = "multi_thread")]
async fn loras_that_cannot_be_had_are_refused_with_the_names_there_are() {
    let (folder, hall) = hall().await;
    let secret = folder.path().join("secret.safetensors");
    let secret = secret.to_str().unwrap();
    for (body, code, field, word) in [
        (
            order("a", json!([{"name": "furr"}])),
            "unknown_lora",
            "loras",
            "fur",
        ),
        (
            order("a", json!([{"name": secret}])),
            "unknown_lora",
            "loras",
            "fur",
        ),
        (
            order("a", json!([{"name": "../secret"}])),
            "unknown_lora",
            "loras",
            "fur",
        ),
        (
            order("a<lora:furr:1>", json!([])),
            "unknown_lora",
            "prompt",
            "fur",
        ),
        (
            order("a<lora:../secret:1>", json!([])),
            "unknown_lora",
            "prompt",
            "fur",
        ),
        (
            order("a", json!([{"name": "broken"}])),
            "invalid_value",
            "loras",
            "HTML",
        ),
        (
            order("a", json!([{"name": "big"}])),
            "invalid_value",
            "loras",
            "SDXL",
        ),
        (
            order("a<lora:fur:soon>", json!([])),
            "invalid_value",
            "prompt",
            "LoRA",
        ),
        (
            order("a", json!([{"name": "fur", "weight": 11}])),
            "loras_out_of_range",
            "loras",
            "10",
        ),
        (
            order("a", json!([{"name": "fur", "path": "/x"}])),
            "unknown_field",
            "path",
            "path",
        ),
        (
            order("a", json!([{"weight": 1}])),
            "missing_field",
            "name",
            "name",
        ),
        (
            order("a", vec![json!({"name": "fur"}); 17].into()),
            "invalid_value",
            "loras",
            "16",
        ),
    ] {
        let answer = json_of(hall.post("/generations", &body).await, 422).await;
        let error = &answer["error"];
        assert_eq!(text(&error["code"]), code, "{body}: {error}");
        assert!(text(&error["field"]).starts_with(field), "{body}: {error}");
        assert!(text(&error["message"]).contains(word), "{body}: {error}");
        let root = folder.path().to_str().unwrap();
        let message = text(&error["message"]).replace(secret.trim_end_matches(".safetensors"), "");
        assert!(!message.contains(root), "{error}");
    }
}
