//! Whose noise a run starts from, and how recipes carry it.

use imagegen::{NoiseKind, Variation, VariationMark};

use super::*;

fn towards(seed: u64, strength: f64) -> Option<Variation> {
    Some(Variation::new(seed, strength).unwrap())
}

/// The picture again, from its recipe alone.
fn again(model: &Model, outcome: &Outcome) -> Outcome {
    let recipe: imagegen::Recipe = serde_json::from_str(&outcome.facts.recipe.json()).unwrap();
    assert_eq!(recipe, outcome.facts.recipe);
    let source = source();
    let request = recipe.request(recipe.source.as_ref().map(|_| &source), None);
    model.run(&request.unwrap(), &mut Unwatched).unwrap()
}

#[test]
fn noise_of_cuda_makes_another_picture_and_the_recipe_says_so() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    for sampler in ["euler", "euler_a"] {
        let of = |noise, seed| {
            said(&model, |settings| {
                settings.sampler = Some(sampler.parse().unwrap());
                settings.sampling.noise = noise;
                settings.seed = seed;
            })
        };
        let (cpu, nv) = (of(NoiseKind::Cpu, 3), of(NoiseKind::Nv, 3));
        assert!(cpu.picture != nv.picture);
        assert_eq!(cpu.facts.recipe.noise, None);
        assert!(!cpu.facts.recipe.json().contains("noise"));
        assert_eq!(nv.facts.recipe.noise.as_deref(), Some("nv"));
        assert!(again(&model, &nv).picture == nv.picture, "{sampler}");
        // torch on the CPU reads 32 bits of a seed, on CUDA all of them.
        let far = 3 + (1 << 32);
        assert!(of(NoiseKind::Cpu, far).picture == cpu.picture);
        assert!(of(NoiseKind::Nv, far).picture != nv.picture);
        let size = imagegen::Size::new(64, 64);
        assert!(nv.facts.recipe.a1111(size).contains("RNG: NV"));
        assert!(cpu.facts.recipe.a1111(size).contains("RNG: CPU"));
    }
}

#[test]
fn variations_lead_from_one_seed_to_another() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    for noise in NoiseKind::ALL {
        let of = |seed, variation| {
            said(&model, |settings| {
                settings.seed = seed;
                settings.sampling.noise = noise;
                settings.sampling.variation = variation;
            })
        };
        let (here, there) = (of(3, None), of(8, None));
        let none = of(3, towards(8, 0.0));
        assert!(none.picture == here.picture);
        assert_eq!(none.facts.recipe, here.facts.recipe);
        assert!(of(3, towards(8, 1.0)).picture == there.picture);
        let near = of(3, towards(8, 0.1));
        let half = of(3, towards(8, 0.5));
        let off = |outcome: &Outcome| rms(outcome.picture.rgb(), here.picture.rgb());
        assert!(0.0 < off(&near) && off(&near) < off(&half), "{noise:?}");
        assert!(off(&half) < off(&there) + 1.0, "{noise:?}");
        let mark = VariationMark {
            seed: 8,
            strength: 0.5,
        };
        assert_eq!(half.facts.recipe.variation, Some(mark));
        assert_eq!(half.facts.recipe.row_seed(), 8);
        assert!(again(&model, &half).picture == half.picture);
        let text = half.facts.recipe.a1111(imagegen::Size::new(64, 64));
        let said = "Seed: 3, ";
        assert!(text.contains(said), "{text}");
        let said = "Variation seed: 8, Variation seed strength: 0.5";
        assert!(text.contains(said), "{text}");
    }
}

/// The samplers' own noise stays that of the first seed.
#[test]
fn a_whole_variation_starts_elsewhere_and_goes_on_with_its_own_noise() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let of = |seed, variation| {
        said(&model, |settings| {
            settings.sampler = Some("euler_a".parse().unwrap());
            settings.seed = seed;
            settings.sampling.variation = variation;
        })
    };
    let varied = of(3, towards(8, 1.0));
    assert!(varied.picture != of(8, None).picture);
    assert!(varied.picture != of(3, None).picture);
}

#[test]
fn variations_concern_image_to_image_and_inpainting_too() {
    let (_folder, model, _) = folder_of("sd");
    let model = Model::load(&model, cpu()).unwrap();
    let run = serde_json::json!({
        "prompt": "oil painting", "negative": null, "steps": 4, "guidance": 3.0, "seed": 3, "sampler": "euler",
        "image_guidance": null, "strength": 0.7, "box": null,
    });
    let mut painting = run.clone();
    painting["box"] = serde_json::json!([24, 16, 40, 32]);
    for run in [run, painting] {
        let plain = carry_out(&model, &run, &mut Unwatched);
        let recipe = plain.facts.recipe.clone();
        let with = |variation: Option<VariationMark>, noise: Option<&str>| {
            let mut recipe = recipe.clone();
            recipe.variation = variation;
            recipe.noise = noise.map(str::to_owned);
            let source = source();
            let request = recipe.request(Some(&source), None).unwrap();
            model.run(&request, &mut Unwatched).unwrap()
        };
        let mark = |strength| Some(VariationMark { seed: 8, strength });
        assert!(with(mark(0.0), None).picture == plain.picture);
        assert!(with(mark(0.3), None).picture != plain.picture);
        assert!(with(None, Some("nv")).picture != plain.picture);
        let varied = with(mark(0.3), Some("nv"));
        assert!(again(&model, &varied).picture == varied.picture);
    }
}

#[test]
fn recipes_with_noise_that_is_not_known_are_refused() {
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let mut recipe = said(&model, |_| ()).facts.recipe;
    recipe.noise = Some("gpu".to_owned());
    let error = recipe.request(None, None).unwrap_err().to_string();
    assert_eq!(error, "noise is \"gpu\", expected cpu or nv");
    recipe.noise = None;
    recipe.variation = Some(VariationMark {
        seed: 1,
        strength: 1.5,
    });
    let error = recipe.request(None, None).unwrap_err().to_string();
    assert_eq!(error, "variation strength is 1.5, expected 0 to 1");
}

#[test]
fn of_a_row_the_variation_seed_counts_up_where_there_is_one() {
    let run = serde_json::json!({
        "prompt": "", "negative": null, "steps": 1, "guidance": 1.0, "seed": u64::MAX, "sampler": "euler", "image_guidance": null,
    });
    let mut settings = settings(&run);
    assert_eq!(settings.counted(2).seed, 1, "after the last seed comes 0");
    settings.sampling.variation = towards(u64::MAX, 0.0);
    assert_eq!(settings.counted(1).seed, 0);
    settings.sampling.variation = towards(u64::MAX, 0.5);
    let next = settings.counted(3);
    assert_eq!((next.seed, next.row_seed()), (u64::MAX, 2));
    assert_eq!(next.sampling.variation, towards(2, 0.5));
}
