//! From an order to its pictures.

use imagegen::Recipe;
use imagegen_picture::mask::Mask;
use imagegen_picture::{Format, Limits, Metadata, decode, encode, kept};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::hall::{Hall, json_of, refusal, text, with};

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_in_and_another_comes_out() {
    let hall = Hall::open().await;
    let source = hall.put("beach.png").await;
    let seed = "18446744073709551615";
    let order = json!({
        "source": source, "prompt": "oil painting", "negative_prompt": "blurry",
        "guidance_scale": 1.5, "strength": 0.5, "steps": 4, "seed": seed,
    });
    let answer = hall.post("/transforms", &order).await;
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let job = json_of(answer, 202).await;
    let id = text(&job["id"]);
    assert_eq!(location, format!("jobs/{id}"));
    assert_eq!(
        (&job["kind"], &job["order"]["seed"]),
        (&json!("transform"), &json!(seed))
    );
    assert_eq!(
        (&job["failure"], &job["finished_ms"]),
        (&Value::Null, &Value::Null)
    );

    let events = hall.follow(&id).await;
    let seen = names(&events);
    assert_eq!(seen.first(), Some(&"job"), "{seen:?}");
    assert_eq!(seen.last(), Some(&"done"), "{seen:?}");
    let done = &events.last().unwrap().1;
    assert_eq!(
        (&done["state"], &done["source_name"]),
        (&json!("done"), &json!("beach.png"))
    );
    let result = &done["results"][0];
    let prompts = result["prompts"].as_array().unwrap();
    let which: Vec<_> = prompts.iter().map(|prompt| &prompt["which"]).collect();
    assert_eq!(which, ["prompt", "negative prompt"]);
    assert_eq!(
        prompts[0]["parts"][0]["readings"][0]["pieces"],
        json!([{"text": "oil painting", "weight": 1.0}])
    );
    assert_eq!(result["inpaint"], Value::Null);
    let history = json_of(hall.get("/jobs").await, 200).await;
    let listed = &history["jobs"][0]["results"][0];
    assert_eq!(listed.get("prompts"), None, "pages stay small");
    assert_eq!(listed["recipe"], result["recipe"]);
    assert_eq!(
        (&result["seed"], &result["strength"]),
        (&json!(seed), &json!(0.5))
    );
    assert_eq!(
        (&result["width"], &result["height"]),
        (&json!(80), &json!(64))
    );
    assert!(result["fidelity"]["overall"].as_f64().unwrap() < 1.0);
    assert_eq!(
        names(&hall.follow(&id).await),
        ["job", "done"],
        "later comers get the end"
    );

    let path = format!("/jobs/{id}/results/0");
    let png = hall.get(&path).await;
    assert_eq!(png.headers()["content-type"], "image/png");
    let inline = png.headers()["content-disposition"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        inline.starts_with("inline; filename=\"beach-oil-painting-18446744073709551615.png\""),
        "{inline}"
    );
    let png = png.bytes().await.unwrap();
    let recipe = Recipe::read("it", &png).unwrap();
    assert_eq!(
        (recipe.seed, recipe.prompt.as_str()),
        (u64::MAX, "oil painting")
    );
    for format in ["jpeg", "webp"] {
        let answer = hall
            .get(&format!("{path}?format={format}&download=true"))
            .await;
        assert_eq!(answer.headers()["content-type"], format!("image/{format}"));
        let saved = answer.headers()["content-disposition"].to_str().unwrap();
        assert!(saved.starts_with("attachment; "), "{saved}");
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(Recipe::read("it", &bytes).unwrap(), recipe, "{format}");
    }
    let small = hall
        .get(&format!("{path}?format=jpeg&side=32"))
        .await
        .bytes()
        .await
        .unwrap();
    let small = decode(&small, &Limits::default()).unwrap().picture;
    assert_eq!((small.size().width, small.size().height), (32, 25));
    for (query, status) in [("?format=gif", 400), ("?side=5", 400), ("?x=1", 400)] {
        let answer = hall.get(&format!("{path}{query}")).await;
        assert_eq!(answer.status().as_u16(), status, "{query}");
    }
    for missing in ["results/1", "results/x", "results/-1", "sheet"] {
        let answer = hall.get(&format!("/jobs/{id}/{missing}")).await;
        assert_eq!(refusal(answer, 404).await.0, "unknown_picture", "{missing}");
    }
    let read = json_of(hall.upload("/recipes", png.to_vec()).await, 200).await;
    assert_eq!(
        (&read["seed"], &read["prompt"]),
        (&json!(seed), &json!("oil painting"))
    );
    let plain = hall.upload("/recipes", crate::hall::painted(8, 8, 1)).await;
    assert_eq!(refusal(plain, 422).await.0, "no_recipe");
    let again = json_of(hall.post(&format!("{path}/source"), &json!({})).await, 201).await;
    assert_eq!(
        (&again["width"], &again["format"]),
        (&json!(80), &json!("PNG"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn finer_choices_are_taken_by_every_kind_and_said_again() {
    let hall = Hall::open().await;
    let source = hall.put("a.png").await;
    let finer = json!({
        "schedule": "karras", "eta": 0.5, "guidance_rescale": 0.7, "guidance_until": 0.5, "cache_interval": 2, "token_merging": 0.5, "wash": "off", "colours": "decoded",
        "noise": "nv", "variation_seed": "18446744073709551614", "variation_strength": 0.25,
        "clip_skip": 2, "precision": "bf16",
    });
    let body = |more: Value| {
        let plain = json!({"prompt": "winter", "steps": 2, "sampler": "ddim", "guidance_scale": 3});
        with(with(plain, &finer), &more)
    };
    for (path, more) in [
        ("/transforms", json!({"source": source})),
        ("/generations", json!({"width": 64, "height": 64})),
        ("/ladders", json!({"source": source, "strengths": [0.5, 1]})),
        (
            "/variations",
            json!({"source": source, "count": 2, "strength": 1}),
        ),
        (
            "/inpaintings",
            json!({"source": source, "inpaint": {"boxes": [[8, 8, 40, 40]]}}),
        ),
        ("/upscales", json!({"source": source, "strength": 0.6})),
    ] {
        let id = hall.order(path, &body(more)).await;
        let events = hall.follow(&id).await;
        let (name, job) = events.last().unwrap();
        assert_eq!(name, "done", "{path}: {job}");
        for (field, value) in finer.as_object().unwrap() {
            assert_eq!(&job["order"][field], value, "{path} {field}");
            let result = &job["results"][0];
            match field.as_str() {
                // The starter's latents lose no colours, so that the choice decides nothing.
                "colours" => {}
                "precision" => assert_eq!(&result["recipe"]["arithmetic"], value, "{path}"),
                "variation_seed" => assert_eq!(&result[field], value, "{path}"),
                "variation_strength" => {
                    assert_eq!(&result["recipe"]["variation"]["strength"], value, "{path}");
                }
                _ => assert_eq!(&result["recipe"][field], value, "{path} {field}"),
            }
        }
    }
    let models = json_of(hall.get("/models").await, 200).await;
    let starter = &models[0];
    assert_eq!(starter["eta"]["ddim"], 0.0);
    assert_eq!(starter["eta"]["euler_a"], 1.0);
    assert!(starter["eta"].get("heun").is_none());
    assert!(
        starter["schedules"]
            .as_array()
            .unwrap()
            .contains(&json!("karras"))
    );
    assert_eq!(starter["defaults"]["image_guidance"], Value::Null);
    assert_eq!(starter["colours"], json!([]));
    assert!(starter["clip_skip"].as_u64() > Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ladders_and_variations_have_a_sheet() {
    let hall = Hall::open().await;
    let source = hall.put("a.png").await;
    let body = json!({"source": source, "prompt": "comic", "steps": 2});
    let ladder = hall.order("/ladders", &body).await;
    let body = json!({"source": source, "prompt": "comic", "steps": 2, "strength": 1, "count": 2});
    let vary = hall.order("/variations", &body).await;
    let body =
        json!({"prompt": "winter", "steps": 1, "width": 64, "height": 80, "count": 2, "seed": 5});
    let generate = hall.order("/generations", &body).await;
    for (id, pictures, sheet) in [(&ladder, 3, true), (&vary, 2, true), (&generate, 2, false)] {
        let events = hall.follow(id).await;
        let (name, job) = events.last().unwrap();
        assert_eq!(name, "done", "{job}");
        assert_eq!(job["results"].as_array().unwrap().len(), pictures);
        assert_eq!(job["sheet"], sheet);
        let status = hall.get(&format!("/jobs/{id}/sheet")).await.status();
        assert_eq!(status == StatusCode::OK, sheet, "{status}");
    }
    let job = json_of(hall.get(&format!("/jobs/{ladder}")).await, 200).await;
    assert_eq!(job["order"]["strengths"], json!([0.35, 0.5, 0.65]));
    let job = json_of(hall.get(&format!("/jobs/{generate}")).await, 200).await;
    assert_eq!(
        (&job["results"][1]["seed"], &job["results"][0]["height"]),
        (&json!(6), &json!(80))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_are_enlarged() {
    let hall = Hall::open().await;
    let source = hall.put("a.png").await;
    let id = hall.order("/upscales", &json!({"source": source})).await;
    let events = hall.follow(&id).await;
    let (name, job) = events.last().unwrap();
    assert_eq!(name, "done", "{job}");
    let result = &job["results"][0];
    assert_eq!(
        (&result["width"], &result["height"]),
        (&json!(160), &json!(128))
    );
    assert_eq!(
        (&job["kind"], &job["order"]["by"], &job["order"]["with"]),
        (&json!("upscale"), &json!(2), &json!("realesr-animevideov3"))
    );
    assert!(
        events
            .iter()
            .any(|(name, step)| name == "step" && step["sigma"] == 0.0)
    );
    for (body, field) in [
        (json!({"source": source, "by": 3}), "by"),
        (json!({"source": source, "with": "esrgan"}), "with"),
        (json!({"source": source, "strength": 0.3}), "prompt"),
    ] {
        let answer = hall.post("/upscales", &body).await;
        assert_eq!(
            refusal(answer, 422).await.1.as_deref(),
            Some(field),
            "{body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_made_anew_and_the_rest_is_kept() {
    let hall = Hall::open().await;
    let source = hall.put("a.png").await;
    let size = imagegen_picture::Size::new(80, 64);
    let mut drawn = Mask::empty(size);
    let part = imagegen_picture::Rect {
        x: 20,
        y: 16,
        size: imagegen_picture::Size::new(40, 32),
    };
    drawn.add_box(part).unwrap();
    let file = encode(&drawn.picture(), Format::Png, &Metadata::default()).unwrap();
    let answer = hall.upload("/sources?name=mask.png", file.bytes).await;
    let mask = text(&json_of(answer, 201).await["sha256"]);
    let order = |inpaint: serde_json::Value| json!({"source": source, "prompt": "winter", "steps": 2, "seed": 5, "guidance_scale": 1, "inpaint": inpaint});
    let id = hall
        .order(
            "/inpaintings",
            &order(json!({"mask": mask, "intent": "change"})),
        )
        .await;
    let events = hall.follow(&id).await;
    let (name, job) = events.last().unwrap();
    assert_eq!(name, "done", "{job}");
    assert_eq!(job["kind"], "inpaint");
    assert_eq!(job["order"]["strength"], 0.75, "the intent's");
    assert_eq!(job["order"]["inpaint"]["mask"], json!(mask));
    let painted = &job["results"][0]["inpaint"];
    assert_eq!(painted["kept_pixels"], 80 * 64 - 40 * 32);
    assert_eq!(painted["share"], 0.25);
    assert!(painted["seam"]["figure"].as_f64() > Some(0.0), "{painted}");
    let picture = |bytes: &[u8]| decode(bytes, &Limits::default()).unwrap().picture;
    let result = hall.get(&format!("/jobs/{id}/results/0?format=png")).await;
    let made = picture(&result.bytes().await.unwrap());
    let before = hall.get(&format!("/sources/{source}")).await;
    let before = picture(&before.bytes().await.unwrap());
    assert_eq!(
        kept(&before, &made, &drawn).differing,
        0,
        "outside the mask"
    );
    let pairs = made.rgb().chunks_exact(3).zip(before.rgb().chunks_exact(3));
    let changed = pairs.filter(|(new, old)| new != old).count();
    assert!(changed > 600, "{changed}");
    for (inpaint, field) in [
        (json!({}), "mask"),
        (json!({"boxes": [[70, 0, 20, 10]]}), "mask"),
        (json!({"mask": source}), "mask"),
        (json!({"mask": mask, "intent": "paint"}), "intent"),
        (json!({"mask": mask, "content": "paint"}), "content"),
        (json!({"mask": mask, "area": "part"}), "area"),
        (json!({"expand": "left=0"}), "expand"),
        (json!({"expand": "left=40000,top=40000"}), "expand"),
        (json!({"mask": mask, "grow": 2000}), "grow"),
        (json!({"mask": mask, "padding": 9000}), "padding"),
        (json!({"only": ["hands"]}), "only"),
        (json!({"colours": ["blue"]}), "colours"),
        (json!({"mask": "ab".repeat(32)}), "source"),
    ] {
        let answer = hall.post("/inpaintings", &order(inpaint.clone())).await;
        assert_eq!(
            refusal(answer, 422).await.1.as_deref(),
            Some(field),
            "{inpaint}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_between_two_steps() {
    let hall = Hall::open().await;
    let source = hall.put("a.png").await;
    let running = json_of(hall.order_long(&source).await, 202).await;
    let waiting = json_of(hall.order_long(&source).await, 202).await;
    let (running, waiting) = (text(&running["id"]), text(&waiting["id"]));
    let cancel = |id: String| {
        let path = format!("/jobs/{id}/cancel");
        let hall = &hall;
        async move { json_of(hall.post(&path, &json!({})).await, 200).await }
    };
    assert_eq!(cancel(waiting).await["state"], "cancelled", "at once");
    let answer = hall.get(&format!("/jobs/{running}/events")).await;
    cancel(running.clone()).await;
    let events = crate::hall::events(&answer.text().await.unwrap());
    let (name, job) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), &job["state"]),
        ("cancelled", &json!("cancelled"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_again_is_the_same_job() {
    let hall = Hall::open().await;
    let order = |key: &str, prompt: &str| {
        let body = json!({"prompt": prompt, "steps": 1, "width": 64, "height": 64});
        let request = hall.client.post(hall.url("/api/v1/generations"));
        let request = request.header("idempotency-key", key).json(&body);
        async { request.send().await.unwrap() }
    };
    let first = json_of(order("k", "winter").await, 202).await;
    let second = json_of(order("k", "winter").await, 202).await;
    assert_eq!(first["id"], second["id"]);
    assert_eq!(
        refusal(order("k", "night").await, 422).await.0,
        "key_reused"
    );
    assert_eq!(
        refusal(order(&"k".repeat(300), "x").await, 422).await.0,
        "invalid_value"
    );
    let other = json_of(order("l", "winter").await, 202).await;
    assert_ne!(first["id"], other["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_searched_marked_and_cleared() {
    let hall = Hall::open().await;
    let mut ids = Vec::new();
    for prompt in ["winter evening", "night sky", "winter morning"] {
        let body = json!({"prompt": prompt, "steps": 1, "width": 64, "height": 64});
        ids.push(hall.order("/generations", &body).await);
    }
    for id in &ids {
        hall.follow(id).await;
    }
    let id = |at: usize| ids[at].as_str();
    let found = |query: &str| {
        let answer = hall.client.get(hall.url(&format!("/api/v1/jobs?{query}")));
        async {
            let page = json_of(answer.send().await.unwrap(), 200).await;
            let jobs = page["jobs"].as_array().unwrap().iter();
            (
                jobs.map(|job| text(&job["id"])).collect::<Vec<_>>(),
                page["next"].clone(),
            )
        }
    };
    assert_eq!(found("").await.0, [id(2), id(1), id(0)]);
    assert_eq!(found("search=WINTER").await.0, [id(2), id(0)]);
    assert_eq!(found("state=done&kind=generate").await.0.len(), 3);
    assert_eq!(found("kind=ladder").await.0.len(), 0);
    let (first, next) = found("limit=2").await;
    assert_eq!(first, [id(2), id(1)]);
    assert_eq!(
        found(&format!("limit=2&before={}", text(&next))).await,
        (vec![ids[0].clone()], Value::Null)
    );
    let call = |method: Method, path: String| {
        let request = hall
            .client
            .request(method, hall.url(&format!("/api/v1/jobs/{path}")));
        async { request.send().await.unwrap() }
    };
    let marked = call(Method::PUT, format!("{}/favourite", ids[1])).await;
    assert_eq!(json_of(marked, 200).await["favourite"], true);
    assert_eq!(found("favourites=true").await.0, [id(1)]);
    let plain = call(Method::DELETE, format!("{}/favourite", ids[1])).await;
    assert_eq!(json_of(plain, 200).await["favourite"], false);
    assert_eq!(
        call(Method::DELETE, ids[1].clone()).await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        refusal(call(Method::GET, ids[1].clone()).await, 404)
            .await
            .0,
        "unknown_job"
    );
    for bad in [
        "limit=0",
        "limit=101",
        "state=x",
        "kind=x",
        "before=x",
        "favourites=maybe",
        "page=2",
    ] {
        let answer = hall.get(&format!("/jobs?{bad}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_field() {
    let hall = Hall::open().await;
    let source = hall.put("a.png").await;
    let order = |more: Value| with(json!({"source": source, "prompt": "winter"}), &more);
    for (path, body, code, field) in [
        (
            "/transforms",
            order(json!({"strength": 1.4})),
            "strength_out_of_range",
            "strength",
        ),
        (
            "/transforms",
            order(json!({"steps": 0})),
            "steps_out_of_range",
            "steps",
        ),
        (
            "/transforms",
            order(json!({"steps": 1001})),
            "steps_out_of_range",
            "steps",
        ),
        (
            "/transforms",
            order(json!({"steps": -1})),
            "invalid_value",
            "steps",
        ),
        (
            "/transforms",
            order(json!({"guidance_scale": 101})),
            "guidance_scale_out_of_range",
            "guidance_scale",
        ),
        (
            "/transforms",
            order(json!({"schedule": "none"})),
            "invalid_value",
            "schedule",
        ),
        (
            "/transforms",
            order(json!({"eta": 1.5})),
            "eta_out_of_range",
            "eta",
        ),
        (
            "/transforms",
            order(json!({"eta": 0.5, "sampler": "heun"})),
            "eta_out_of_range",
            "eta",
        ),
        (
            "/ladders",
            order(json!({"guidance_rescale": -1})),
            "guidance_rescale_out_of_range",
            "guidance_rescale",
        ),
        (
            "/transforms",
            order(json!({"cache_interval": 0})),
            "cache_interval_out_of_range",
            "cache_interval",
        ),
        (
            "/ladders",
            order(json!({"token_merging": 0.8})),
            "token_merging_out_of_range",
            "token_merging",
        ),
        (
            "/variations",
            order(json!({"guidance_until": 1.5})),
            "guidance_until_out_of_range",
            "guidance_until",
        ),
        (
            "/transforms",
            order(json!({"clip_skip": 99})),
            "clip_skip_out_of_range",
            "clip_skip",
        ),
        (
            "/transforms",
            order(json!({"noise": "gpu"})),
            "invalid_value",
            "noise",
        ),
        (
            "/transforms",
            order(json!({"variation_strength": 1.5})),
            "variation_strength_out_of_range",
            "variation_strength",
        ),
        (
            "/transforms",
            order(json!({"variation_seed": 3})),
            "invalid_value",
            "variation_strength",
        ),
        (
            "/transforms",
            order(json!({"image_guidance": 2})),
            "image_guidance_out_of_range",
            "image_guidance",
        ),
        (
            "/upscales",
            order(json!({"colours": "vivid"})),
            "invalid_value",
            "colours",
        ),
        (
            "/transforms",
            order(json!({"count": 9})),
            "count_out_of_range",
            "count",
        ),
        (
            "/transforms",
            order(json!({"seed": "x"})),
            "invalid_value",
            "seed",
        ),
        (
            "/transforms",
            order(json!({"size": "huge"})),
            "invalid_value",
            "size",
        ),
        (
            "/transforms",
            order(json!({"model": "none"})),
            "unknown_model",
            "model",
        ),
        (
            "/transforms",
            order(json!({"sorce": 1})),
            "unknown_field",
            "sorce",
        ),
        (
            "/transforms",
            json!({"source": source}),
            "missing_field",
            "prompt",
        ),
        (
            "/transforms",
            order(json!({"source": "0".repeat(64)})),
            "unknown_source",
            "source",
        ),
        (
            "/ladders",
            order(json!({"strengths": [0.5, 1.5]})),
            "strengths_out_of_range",
            "strengths",
        ),
        (
            "/variations",
            order(json!({"count": 17})),
            "count_out_of_range",
            "count",
        ),
        (
            "/generations",
            json!({"prompt": "x", "width": 0}),
            "width_out_of_range",
            "width",
        ),
        (
            "/generations",
            json!({"prompt": "x", "source": source}),
            "unknown_field",
            "source",
        ),
    ] {
        let answer = hall.post(path, &body).await;
        let refused = refusal(answer, 422).await;
        assert_eq!(
            refused,
            (code.to_owned(), Some(field.to_owned())),
            "{path} {body}"
        );
    }
}
