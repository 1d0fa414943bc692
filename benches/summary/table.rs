//! Figures as lines of a table.

use super::{Budget, Line};

/// The names of the columns.
pub fn head() -> String {
    format!("{:<58} {:>14} {:>16} {:>6} {:>9}", "name", "result", "budget", "met", "limit ×")
}

/// One figure of a benchmark.
pub fn row(benchmark: &str, line: &Line) -> String {
    let result = format!("{} {}", number(line.result), line.unit);
    let budget = line.budget.map_or_else(String::new, |budget| match budget {
        Budget::AtMost(value) => format!("≤ {}", number(value)),
        Budget::AtLeast(value) => format!("≥ {}", number(value)),
    });
    let met = line.met().map_or("", |met| if met { "yes" } else { "NO" });
    let ratio = line.limit_ratio.map_or_else(String::new, number);
    let name = format!("{benchmark}: {}", line.name);
    format!("{name:<58} {result:>14} {budget:>16} {met:>6} {ratio:>9}")
}

/// Three digits that matter, and thousands apart.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 && out != "-" {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}
