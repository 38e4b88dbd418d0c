//! SVG elements, and the logarithmic scale.

use crate::report::Suite;

/// Width of a plot.
pub const PLOT: f64 = 272.0;

/// A document being written.
#[derive(Debug)]
pub struct Drawing(pub String);

impl Drawing {
    pub fn add(&mut self, element: String) {
        self.0.push_str(&element);
        self.0.push('\n');
    }

    pub fn text(&mut self, x: f64, y: f64, style: &str, text: &str) {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        self.add(format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{text}</text>"
        ));
    }

    /// Small text that stays legible on top of lines.
    pub fn label(&mut self, x: f64, y: f64, colour: &str, text: &str) {
        let halo = "paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"2.5\"";
        self.text(
            x,
            y,
            &format!("font-size=\"9\" fill=\"{colour}\" {halo}"),
            text,
        );
    }

    pub fn upright(&mut self, x: f64, from: f64, to: f64, style: &str) {
        self.add(format!(
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from:.1}\" y2=\"{to:.1}\" {style}/>"
        ));
    }

    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.add(format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        ));
    }
}

/// The scale: from one power of two to another, around everything there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    pub from: i32,
    pub to: i32,
}

impl Scale {
    pub fn around(suite: &Suite) -> Scale {
        let all = suite
            .lines
            .iter()
            .flat_map(|line| line.cells.iter().filter_map(|cell| line.slowdown(cell)));
        let (low, high) = all.fold((0.8_f64, 3.0_f64), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        let power = |x: f64| x.clamp(0.125, 1024.0).log2();
        Scale {
            from: power(low).floor() as i32,
            to: power(high).ceil() as i32,
        }
    }

    /// How far along the axis, within the plot.
    pub fn place(self, slowdown: f64) -> f64 {
        let span = f64::from(self.to - self.from);
        ((slowdown.log2() - f64::from(self.from)) / span).clamp(0.0, 1.0) * PLOT
    }
}
