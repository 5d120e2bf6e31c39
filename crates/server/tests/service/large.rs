//! Pictures larger than their model works at, over HTTP.

use imagegen::ModelSource;
use imagegen_conformance::weights::write_folder;
use serde_json::{Value, json};

use crate::hall::{Hall, json_of, refusal, with};

fn order(more: Value) -> Value {
    let order = json!({"prompt": "winter", "width": 96, "height": 64, "steps": 2, "seed": 5});
    with(order, &more)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pass_is_ordered_told_and_recorded() {
    let hall = Hall::open().await;
    let body = order(json!({"hires": {"by": 2, "steps": 6}, "tiles": "on", "vae_tiling": "auto"}));
    let id = hall.order("/generations", &body).await;
    let events = hall.follow(&id).await;
    let (name, job) = events.last().unwrap();
    assert_eq!(name, "done", "{job}");
    assert_eq!(
        job["order"]["hires"],
        json!({"by": 2.0, "strength": 0.5, "steps": 6, "with": "lanczos"})
    );
    assert_eq!(
        (&job["order"]["tiles"], &job["order"]["vae_tiling"]),
        (&json!("on"), &json!("auto"))
    );
    let result = &job["results"][0];
    assert_eq!(
        (&result["width"], &result["height"]),
        (&json!(192), &json!(128))
    );
    assert_eq!(result["recipe"]["hires"]["size"], json!([96, 64]));
    let steps = events.iter().filter(|(name, _)| name == "step");
    let steps: Vec<_> = steps
        .map(|(_, step)| (step["step"].clone(), step["steps"].clone()))
        .collect();
    let expected: Vec<_> = (1..=5).map(|step| (json!(step), json!(5))).collect();
    // A listener may come after the first of them.
    assert!(!steps.is_empty() && expected.ends_with(&steps), "{steps:?}");

    let plain = hall.order("/generations", &order(json!({}))).await;
    let plain = hall.follow(&plain).await.pop().unwrap().1;
    for field in ["hires", "tiles", "vae_tiling"] {
        assert_eq!(plain["order"][field], Value::Null, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_have_no_such_choice_refuse_it_and_values_are_checked() {
    let hall = Hall::open().await;
    let source = hall.put("beach.png").await;
    let from = |more: Value| with(json!({"source": source, "prompt": "winter"}), &more);
    for (path, body, code, field) in [
        (
            "/generations",
            order(json!({"hires": {"by": 5}})),
            "hires_by_out_of_range",
            "hires.by",
        ),
        (
            "/generations",
            order(json!({"hires": {"by": 2, "strength": 0}})),
            "hires_strength_out_of_range",
            "hires.strength",
        ),
        (
            "/generations",
            order(json!({"hires": {"by": 2, "with": "esrgan"}})),
            "invalid_value",
            "hires.with",
        ),
        (
            "/generations",
            order(json!({"hires": {"by": 2, "of": 1}})),
            "unknown_field",
            "of",
        ),
        (
            "/generations",
            order(json!({"hires": {}})),
            "missing_field",
            "by",
        ),
        (
            "/generations",
            order(json!({"vae_tiling": "yes"})),
            "invalid_value",
            "vae_tiling",
        ),
        (
            "/transforms",
            from(json!({"hires": {"by": 2}})),
            "unknown_field",
            "hires",
        ),
        (
            "/transforms",
            from(json!({"tiles": "2"})),
            "invalid_value",
            "tiles",
        ),
        (
            "/inpaintings",
            from(json!({"tiles": "on"})),
            "unknown_field",
            "tiles",
        ),
        (
            "/upscales",
            from(json!({"tiles": "on"})),
            "unknown_field",
            "tiles",
        ),
        (
            "/upscales",
            from(json!({"strength_rule": "share"})),
            "unknown_field",
            "strength_rule",
        ),
    ] {
        let (got, at) = refusal(hall.post(path, &body).await, 422).await;
        assert_eq!((&*got, at.as_deref()), (code, Some(field)), "{path} {body}");
    }
    for path in ["/transforms", "/variations"] {
        let body =
            from(json!({"tiles": "on", "vae_tiling": "on", "strength": 1, "steps": 1, "count": 2}));
        let job = json_of(hall.post(path, &body).await, 202).await;
        assert_eq!(job["order"]["tiles"], "on", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn models_say_which_refine_them_and_orders_name_one() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["sdxl", "refiner", "sd"] {
        write_folder(name, &folder.path().join(name));
    }
    let path = folder.path().to_owned();
    let hall = Hall::offering(move || {
        let models = ["sdxl", "refiner", "sd"];
        let models = models.map(|name| ModelSource::Folder(path.join(name)).into());
        Vec::from(models).into()
    })
    .await;
    let models = json_of(hall.get("/models").await, 200).await;
    let refiners = models.as_array().unwrap().iter();
    let refiners: Vec<_> = refiners.map(|model| model["refiners"].clone()).collect();
    assert_eq!(refiners, [json!(["refiner"]), json!(["sdxl"]), json!([])]);
    let refined = json!({"refiner": "refiner", "refiner_at": 0.5, "steps": 4});
    let id = hall.order("/generations", &order(refined)).await;
    let (name, job) = hall.follow(&id).await.pop().unwrap();
    assert_eq!(name, "done", "{job}");
    assert_eq!(
        (&job["order"]["refiner"], &job["order"]["refiner_at"]),
        (&json!("refiner"), &json!(0.5))
    );
    let mark = &job["results"][0]["recipe"]["refiner"];
    assert_eq!(
        (&mark["name"], &mark["at"]),
        (&json!("refiner"), &json!(0.5))
    );
    for (more, code, field) in [
        (json!({"refiner": "none"}), "invalid_value", "refiner"),
        (json!({"refiner": "sd"}), "invalid_value", "refiner"),
        (
            json!({"refiner": "refiner", "refiner_at": 0}),
            "refiner_at_out_of_range",
            "refiner_at",
        ),
        (json!({"refiner_at": 0.5}), "invalid_value", "refiner"),
    ] {
        let body = order(more);
        let (got, at) = refusal(hall.post("/generations", &body).await, 422).await;
        assert_eq!((&*got, at.as_deref()), (code, Some(field)), "{body}");
    }
    let source = hall.put("beach.png").await;
    let body = json!({"source": source, "prompt": "winter", "refiner": "refiner"});
    let (got, at) = refusal(hall.post("/inpaintings", &body).await, 422).await;
    assert_eq!((&*got, at.as_deref()), ("unknown_field", Some("refiner")));
}
