//! What criterion measured, read from the files that it leaves in `target/criterion`.

use serde::Deserialize;

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// The median of a function in nanoseconds; none if it did not run in this or an earlier `cargo bench`.
///
/// `path` is the group and the function as they were named, as in `frames/serde_json, same types`;
/// each part by itself, because criterion writes a stroke within a part as an underscore.
pub fn nanoseconds(path: &[&str]) -> Option<f64> {
    let mut folder = super::target().join("criterion");
    path.iter().for_each(|part| folder.push(part.replace('/', "_")));
    let text = std::fs::read(folder.join("new/estimates.json")).ok()?;
    let estimates: Estimates = serde_json::from_slice(&text).ok()?;
    Some(estimates.median.point_estimate)
}
