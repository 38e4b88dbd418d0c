use super::drawing::PLOT;
use super::*;
use crate::report::tests::sample;

#[test]
fn the_scale_is_logarithmic_and_bounded() {
    let scale = Scale { from: -1, to: 3 };
    for (slowdown, part) in [
        (0.5, 0.0),
        (1.0, 0.25),
        (2.0, 0.5),
        (8.0, 1.0),
        (100.0, 1.0),
        (0.01, 0.0),
    ] {
        assert!(
            (scale.place(slowdown) - part * PLOT).abs() < 1e-9,
            "{slowdown}"
        );
    }
}

#[test]
fn the_scale_holds_everything() {
    let report = sample();
    let scales: Vec<Scale> = report.suites.iter().map(Scale::around).collect();
    assert_eq!(scales, [Scale { from: -1, to: 2 }]);
}

#[test]
fn every_target_and_row_is_drawn() {
    let svg = render(&sample());
    for text in [
        "<svg ",
        ">fuse-overlayfs<",
        ">statelitefs<",
        ">walk<",
        ">seq<",
        ">3.00<",
        ">1.67<",
        ">failed<",
        "</svg>",
    ] {
        assert!(svg.contains(text), "{text}\n{svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(svg.matches("<svg").count(), 1);
}

#[test]
fn text_is_escaped() {
    let mut out = Drawing(String::new());
    out.text(0.0, 0.0, "", "a<b & c");
    assert!(out.0.contains("a&lt;b &amp; c"), "{}", out.0);
}
