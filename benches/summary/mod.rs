//! Results of a benchmark beside their budgets: printed as a table, kept as `target/bench/NAME.json`.
//! Nothing is measured here.
//! Lines come in from a benchmark; the table goes to standard output, the file below `target/bench`.

use std::path::Path;

use serde_json::{Value, json};

/// One measured figure.
pub struct Line {
    name: String,
    unit: &'static str,
    result: f64,
    budget: Option<f64>,
}

impl Line {
    /// A figure without a budget.
    pub fn new(name: impl Into<String>, unit: &'static str, result: f64) -> Self {
        Self { name: name.into(), unit, result, budget: None }
    }

    /// It should be at most so much.
    pub const fn within(mut self, budget: f64) -> Self {
        self.budget = Some(budget);
        self
    }

    fn met(&self) -> Option<bool> {
        self.budget.map(|budget| self.result <= budget)
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.unit,
            "budget": self.budget,
            "result": self.result,
            "met": self.met(),
        })
    }
}

/// All figures of one benchmark.
pub struct Summary {
    name: &'static str,
    lines: Vec<Line>,
}

impl Summary {
    /// None yet.
    pub fn new(name: &'static str) -> Self {
        println!("{:<44} {:>12} {:>12}", name, "result", "budget");
        Self { name, lines: Vec::new() }
    }

    /// Prints and keeps a figure.
    pub fn add(&mut self, line: Line) {
        let verdict = if line.met() == Some(false) { "  MISSED" } else { "" };
        let budget = line.budget.map_or(String::new(), |budget| format!("<= {budget}{verdict}"));
        println!("{:<44} {:>9.1} {:<4} {budget}", line.name, line.result, line.unit);
        self.lines.push(line);
    }

    /// Writes them below `target/bench`.
    pub fn write(&self, root: &Path) {
        let folder = root.join("target/bench");
        std::fs::create_dir_all(&folder).expect("a folder for results");
        let lines: Vec<_> = self.lines.iter().map(Line::json).collect();
        let text = serde_json::to_string_pretty(&lines).expect("JSON");
        std::fs::write(folder.join(format!("{}.json", self.name)), text)
            .expect("results are written");
    }
}
