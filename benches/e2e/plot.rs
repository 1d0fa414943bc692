//! The figures as a picture: how long Slack waits, and what the daemon costs, as the rate grows.

use std::fmt::Write as _;

/// One rate with one Realtime.
#[derive(Clone, Debug)]
pub struct Point {
    /// How Realtime behaved.
    pub realtime: &'static str,
    /// Inserts a second.
    pub rate: u32,
    /// Milliseconds until half of the messages were at Slack.
    pub slack_p50: f64,
    /// Milliseconds until 99 of 100 were.
    pub slack_p99: f64,
    /// Percent of one processor that the daemon took.
    pub processor: f64,
}

const PANEL: (f64, f64) = (300.0, 200.0);
const LEFT: f64 = 56.0;
const TOP: f64 = 48.0;
const GAP: f64 = 76.0;
/// Told apart by everybody, on white and on black.
const LOOKS: [(&str, &str); 3] = [("#2a78b5", ""), ("#d1662a", "6 3"), ("#6a9a3b", "2 3")];

/// Two panels side by side.
pub fn svg(points: &[Point]) -> String {
    let width = LEFT + PANEL.0 * 2.0 + GAP + 24.0;
    let height = TOP + PANEL.1 + 76.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\" \
         aria-label=\"Delay of Slack messages and processor time of the daemon by inserts a second\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let names = names(points);
    panel(&mut out, LEFT, "commit to Slack, ms: median, and thin p99", points, &names, |point| {
        vec![(point.slack_p50, 2.0), (point.slack_p99, 1.0)]
    });
    panel(&mut out, LEFT + PANEL.0 + GAP, "daemon, % of one processor", points, &names, |point| {
        vec![(point.processor, 2.0)]
    });
    for (n, name) in names.iter().enumerate() {
        let (x, y) = (LEFT + n as f64 * 190.0, height - 14.0);
        let (color, dash) = LOOKS[n % LOOKS.len()];
        let _ = writeln!(
            out,
            "<path d=\"M{x:.0} {:.0}h28\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{:.0}\" y=\"{y:.0}\" fill=\"#333\">Realtime {name}</text>",
            y - 4.0,
            x + 36.0
        );
    }
    out + "</svg>\n"
}

fn names(points: &[Point]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for point in points {
        if !names.contains(&point.realtime) {
            names.push(point.realtime);
        }
    }
    names
}

/// One panel: the rate as a logarithm to the right, values upwards.
fn panel(
    out: &mut String,
    left: f64,
    title: &str,
    points: &[Point],
    names: &[&str],
    values: impl Fn(&Point) -> Vec<(f64, f64)>,
) {
    let all =
        points.iter().flat_map(&values).map(|(value, _)| value).filter(|value| value.is_finite());
    let top = round_up(all.fold(1.0, f64::max));
    let most = points.iter().map(|point| f64::from(point.rate)).fold(10.0, f64::max).log10();
    let x = |rate: u32| left + PANEL.0 * f64::from(rate).log10() / most;
    let y = |value: f64| TOP + PANEL.1 * (1.0 - (value / top).min(1.0));
    let _ = writeln!(
        out,
        "<text x=\"{left}\" y=\"24\" font-weight=\"600\" fill=\"#222\">{title}</text>"
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = writeln!(
            out,
            "<path d=\"M{left} {0:.1}h{1}\" stroke=\"#ddd\"/><text x=\"{2:.0}\" y=\"{3:.1}\" text-anchor=\"end\" fill=\"#555\">{value:.0}</text>",
            y(value),
            PANEL.0,
            left - 6.0,
            y(value) + 4.0
        );
    }
    let mut rates: Vec<_> = points.iter().map(|point| point.rate).collect();
    rates.sort_unstable();
    rates.dedup();
    for rate in rates {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#555\">{rate}/s</text>",
            x(rate),
            TOP + PANEL.1 + 18.0
        );
    }
    for (n, name) in names.iter().enumerate() {
        let (color, dash) = LOOKS[n % LOOKS.len()];
        let own: Vec<_> = points.iter().filter(|point| point.realtime == *name).collect();
        let lines = own.first().map_or(0, |point| values(point).len());
        for line in 0..lines {
            let at = |point: &&Point| {
                let (value, width) = values(point)[line];
                value.is_finite().then(|| (format!("{:.1} {:.1}", x(point.rate), y(value)), width))
            };
            let places: Vec<_> = own.iter().filter_map(at).collect();
            let Some((_, width)) = places.first() else { continue };
            let path: Vec<_> = places.iter().map(|(place, _)| place.as_str()).collect();
            let _ = writeln!(
                out,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-dasharray=\"{dash}\"/>",
                path.join(" L")
            );
        }
    }
}

/// The next 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|step| step * power)
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(value)
}
