//! What the decider says of its state, to whoever asks and to the metrics.

use super::{Decider, Inspection};
use crate::model::Rule;

impl Decider {
    pub(super) fn inspect(&self) -> Inspection {
        let total = |rule: &Rule| (rule.id, self.engine.total_of(rule.id));
        Inspection {
            stats: self.engine.stats(),
            total_in_windows: self.engine.total_in_windows(),
            total_by_rule: self.rules.iter().map(total).collect(),
            open: self.engine.open_incidents(),
            rates: self.rates.snapshot(self.clock.database_now()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
    pub(super) fn publish_gauges(&self) {
        let stats = self.engine.stats();
        metrics::gauge!("meshhook_errors_rules").set(stats.rules as f64);
        metrics::gauge!("meshhook_errors_groups").set(stats.groups as f64);
        metrics::gauge!("meshhook_errors_incidents_open").set(stats.incidents as f64);
        metrics::counter!("meshhook_errors_groups_overflowed_total").absolute(stats.overflowed);
    }
}
