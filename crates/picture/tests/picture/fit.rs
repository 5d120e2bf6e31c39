//! Plans: laws over many sizes, and the promises of each fit.

use imagegen_picture::{Fit, FitError, FitPlan, FitRequest, Picture, Size, Wanted, plan};

use crate::make::*;

fn request(width: u32, height: u32) -> FitRequest {
    FitRequest {
        source: Size::new(width, height),
        wanted: Wanted::Source,
        fit: Fit::Keep,
        grid: 16,
        budget_pixels: 512 * 512,
        min_side: 64,
    }
}

fn planned(request: FitRequest) -> FitPlan {
    plan(&request).expect("a plan")
}

const FITS: [Fit; 4] = [Fit::Keep, Fit::Crop, Fit::Pad, Fit::Stretch];

#[test]
fn sizes_on_the_grid_are_copied_both_ways() {
    for (width, height) in [(512, 512), (64, 64), (256, 128)] {
        for fit in FITS {
            let plan = planned(FitRequest {
                fit,
                ..request(width, height)
            });
            let source = busy(width, height);
            assert!(!plan.resamples());
            assert_eq!(plan.to_work(&source), source);
            assert_eq!(plan.from_work(&source), source);
        }
    }
}

#[test]
fn a_size_off_the_grid_is_filled_up_not_blurred() {
    let plan = planned(request(451, 300));
    assert_eq!(plan.work_size(), Size::new(464, 304));
    assert!(!plan.resamples());
    let source = busy(451, 300);
    let work = plan.to_work(&source);
    // Mirrored: the column behind the last is the one before it.
    assert_eq!(work.pixel(451, 10), source.pixel(449, 10));
    assert_eq!(work.pixel(463, 303), source.pixel(437, 295));
    assert_eq!(plan.from_work(&work), source);
}

#[test]
fn odd_sizes_come_back_at_their_size_and_within_the_rules() {
    let sides = [1, 2, 3, 17, 63, 64, 65, 255, 300, 511, 513, 767, 1023, 1600];
    for grid in [1, 8, 16, 64] {
        for (width, height) in sides.into_iter().flat_map(|w| sides.map(|h| (w, h))) {
            for fit in FITS {
                let request = FitRequest {
                    fit,
                    grid,
                    ..request(width, height)
                };
                let plan = planned(request);
                let work = plan.work_size();
                assert!(
                    work.width.is_multiple_of(grid) && work.height.is_multiple_of(grid),
                    "{request:?} {work}"
                );
                assert!(work.pixels() <= request.budget_pixels, "{request:?} {work}");
                assert!(work.width.min(work.height) >= 64, "{request:?} {work}");
                assert_eq!(plan.result_size(), request.source);
                let content = plan.content_rect();
                assert!(
                    content.x + content.size.width <= work.width,
                    "{request:?} {content:?}"
                );
                assert!(
                    content.y + content.size.height <= work.height,
                    "{request:?} {content:?}"
                );
            }
        }
    }
}

#[test]
fn there_and_back_keeps_size_and_smooth_pictures() {
    let smooth = |width, height| {
        painted(width, height, |x, y| {
            let (x, y) = (
                f64::from(x) / f64::from(width),
                f64::from(y) / f64::from(height),
            );
            [
                (x * 200.0 + 20.0) as u8,
                (y * 200.0 + 20.0) as u8,
                ((x + y) * 100.0) as u8,
            ]
        })
    };
    for (width, height) in [(451, 300), (1001, 333), (40, 30), (700, 701), (33, 650)] {
        let source = smooth(width, height);
        let plan = planned(request(width, height));
        let back = plan.from_work(&plan.to_work(&source));
        assert_eq!(back.size(), source.size());
        assert_near(back.rgb(), source.rgb(), 3);
        assert_eq!(plan.to_result(&source), source);
    }
}

#[test]
fn a_large_source_uses_the_budget() {
    for (width, height) in [
        (4000, 3000),
        (1024, 1024),
        (3000, 4000),
        (1920, 1080),
        (1000, 1000),
    ] {
        let plan = planned(request(width, height));
        let share = plan.work_size().pixels() as f64 / f64::from(512 * 512);
        assert!(
            share > 0.88,
            "{width}x{height} works at {}",
            plan.work_size()
        );
        let aspect = |size: Size| f64::from(size.width) / f64::from(size.height);
        let error = aspect(plan.content_rect().size) / aspect(Size::new(width, height)) - 1.0;
        assert!(
            error.abs() < 0.021,
            "{width}x{height} works at {}",
            plan.work_size()
        );
    }
    assert_eq!(
        planned(request(1024, 1024)).work_size(),
        Size::new(512, 512)
    );
    assert_eq!(
        planned(request(1000, 1000)).work_size(),
        Size::new(512, 512)
    );
}

#[test]
fn a_small_source_is_enlarged_to_the_least_side() {
    let plan = planned(FitRequest {
        min_side: 256,
        ..request(96, 64)
    });
    assert_eq!(plan.work_size(), Size::new(384, 256));
    assert!(plan.resamples());
    assert_eq!(plan.result_size(), Size::new(96, 64));
}

#[test]
fn wanted_sizes_come_back() {
    let source = busy(300, 200);
    let ask = |wanted, fit| {
        planned(FitRequest {
            wanted,
            fit,
            ..request(300, 200)
        })
    };
    let result = |plan: &FitPlan| {
        let result = plan.from_work(&plan.to_work(&source)).size();
        assert_eq!(result, plan.result_size());
        assert_eq!(plan.to_result(&source).size(), result);
        result
    };
    assert_eq!(
        result(&ask(Wanted::Longest(150), Fit::Keep)),
        Size::new(150, 100)
    );
    assert_eq!(
        result(&ask(Wanted::Longest(900), Fit::Keep)),
        Size::new(900, 600)
    );
    let square = Wanted::Exact(256, 256);
    assert_eq!(result(&ask(square, Fit::Keep)), Size::new(256, 171));
    assert_eq!(result(&ask(square, Fit::Pad)), Size::new(256, 171));
    assert_eq!(result(&ask(square, Fit::Crop)), Size::new(256, 256));
    assert_eq!(result(&ask(square, Fit::Stretch)), Size::new(256, 256));

    let crop = ask(square, Fit::Crop).source_rect();
    assert_eq!((crop.x, crop.y, crop.size), (50, 0, Size::new(200, 200)));
    let pad = ask(square, Fit::Pad);
    assert_eq!(pad.work_size(), Size::new(256, 256));
    assert_eq!(pad.content_rect().y, 42);
}

#[test]
fn alpha_and_masks_share_the_geometry() {
    let alpha: Vec<u8> = (0..300 * 200)
        .map(|i| if i % 300 < 150 { 0 } else { 255 })
        .collect();
    let source = busy(300, 200).with_alpha(Some(alpha.clone())).unwrap();
    for wanted in [Wanted::Source, Wanted::Exact(128, 128)] {
        for fit in FITS {
            let plan = planned(FitRequest {
                wanted,
                fit,
                ..request(300, 200)
            });
            assert_eq!(
                plan.plane_to_work(&alpha),
                plan.to_work(&source).alpha().unwrap()
            );
            assert_eq!(
                plan.plane_to_result(&alpha),
                plan.to_result(&source).alpha().unwrap()
            );
        }
    }
}

#[test]
fn one_colour_stays_through_any_plan() {
    let flat = |size| Picture::filled(size, [13, 200, 77]).unwrap();
    for (width, height) in [(1, 1), (5, 900), (451, 300), (2000, 1500)] {
        let plan = planned(request(width, height));
        let work = plan.to_work(&flat(Size::new(width, height)));
        assert_eq!(work, flat(plan.work_size()));
        assert_eq!(plan.from_work(&work), flat(plan.result_size()));
    }
}

#[test]
fn what_allows_no_plan_is_said() {
    let refused = |request| plan(&request).expect_err("no plan");
    assert_eq!(
        refused(FitRequest {
            grid: 0,
            ..request(8, 8)
        }),
        FitError::NoGrid
    );
    assert!(matches!(
        refused(request(0, 8)),
        FitError::NoPixels { what: "source", .. }
    ));
    for wanted in [Wanted::Exact(0, 5), Wanted::Longest(0)] {
        let error = refused(FitRequest {
            wanted,
            ..request(8, 8)
        });
        assert!(matches!(error, FitError::NoPixels { what: "wanted", .. }));
    }
    let wanted = Wanted::Exact(u32::MAX, 5);
    assert!(matches!(
        refused(FitRequest {
            wanted,
            ..request(8, 8)
        }),
        FitError::TooLarge { .. }
    ));
    let error = refused(FitRequest {
        budget_pixels: 64 * 64 - 1,
        ..request(8, 8)
    });
    assert_eq!(
        error,
        FitError::Budget {
            got: 4095,
            least: 4096,
            side: 64
        }
    );
}
