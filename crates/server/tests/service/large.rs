//! Pictures larger than their model works at, over HTTP.

use serde_json::{Value, json};

use crate::hall::{Hall, json_of, refusal};

fn order(more: Value) -> Value {
    let mut order = json!({"prompt": "winter", "width": 96, "height": 64, "steps": 2, "seed": 5});
    let fields = order.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    order
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
    assert_eq!((&result["width"], &result["height"]), (&json!(192), &json!(128)));
    assert_eq!(result["recipe"]["hires"]["size"], json!([96, 64]));
    let steps = events.iter().filter(|(name, _)| name == "step");
    let steps: Vec<_> = steps.map(|(_, step)| (step["step"].clone(), step["steps"].clone())).collect();
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
    let from = |more: Value| {
        let mut body = json!({"source": source, "prompt": "winter"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (path, body, code, field) in [
        ("/generations", order(json!({"hires": {"by": 5}})), "hires_by_out_of_range", "hires.by"),
        ("/generations", order(json!({"hires": {"by": 2, "strength": 0}})), "hires_strength_out_of_range", "hires.strength"),
        ("/generations", order(json!({"hires": {"by": 2, "with": "esrgan"}})), "invalid_value", "hires.with"),
        ("/generations", order(json!({"hires": {"by": 2, "of": 1}})), "unknown_field", "of"),
        ("/generations", order(json!({"hires": {}})), "missing_field", "by"),
        ("/generations", order(json!({"vae_tiling": "yes"})), "invalid_value", "vae_tiling"),
        ("/transforms", from(json!({"hires": {"by": 2}})), "unknown_field", "hires"),
        ("/transforms", from(json!({"tiles": "2"})), "invalid_value", "tiles"),
        ("/inpaintings", from(json!({"tiles": "on"})), "unknown_field", "tiles"),
        ("/upscales", from(json!({"tiles": "on"})), "unknown_field", "tiles"),
        ("/upscales", from(json!({"strength_rule": "share"})), "unknown_field", "strength_rule"),
    ] {
        let (got, at) = refusal(hall.post(path, &body).await, 422).await;
        assert_eq!((&*got, at.as_deref()), (code, Some(field)), "{path} {body}");
    }
    for path in ["/transforms", "/variations"] {
        let body = from(json!({"tiles": "on", "vae_tiling": "on", "strength": 1, "steps": 1, "count": 2}));
        let job = json_of(hall.post(path, &body).await, 202).await;
        assert_eq!(job["order"]["tiles"], "on", "{path}");
    }
}
