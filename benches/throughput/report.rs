//! The figures of all runs, and the table.

/// One figure over the runs.
struct Figure {
    what: String,
    unit: &'static str,
    values: Vec<f64>,
    /// The most that it should be.
    target: Option<f64>,
}

/// Every figure, in the order of their first appearance.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds the value of one run.
    pub fn add(&mut self, what: impl Into<String>, unit: &'static str, value: f64) {
        let what = what.into();
        match self.figures.iter_mut().find(|figure| figure.what == what) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure { what, unit, values: vec![value], target: None }),
        }
    }

    /// Says what a figure should be at most.
    pub fn aim(&mut self, what: &str, target: f64) {
        if let Some(figure) = self.figures.iter_mut().find(|figure| figure.what == what) {
            figure.target = Some(target);
        }
    }

    /// The median of a figure, if it was measured.
    pub fn median(&self, what: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.what == what).map(|figure| median(&figure.values))
    }

    /// The table: minimum, median and maximum of each figure, and whether the median is within its target.
    pub fn print(&self) {
        println!("\n{:<58} {:>10} {:>10} {:>10}  unit", "figure", "min", "median", "max");
        for Figure { what, unit, values, target } in &self.figures {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let aim = target.map_or(String::new(), |most| {
                let verdict = if median(values) <= most { "met" } else { "MISSED" };
                format!("; target ≤ {}: {verdict}", number(most))
            });
            println!("{what:<58} {:>10} {:>10} {:>10}  {unit}{aim}", number(low), number(median(values)), number(high));
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// As many digits as say something.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
