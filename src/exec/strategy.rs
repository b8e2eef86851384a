//! Labels in EXPLAIN ANALYZE: metrics with a fixed name and a few words as their value, such as `strategy=gather join`.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::physical_plan::metrics::{CustomMetricValue, ExecutionPlanMetricsSet, MetricBuilder, MetricValue};

/// Distinct words, in the order in which they were added. Aggregation over partitions is their union.
#[derive(Debug, Default)]
struct Label(Mutex<Vec<String>>);

impl Label {
    fn words(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, word: String) {
        let mut words = self.words();
        if !words.contains(&word) {
            words.push(word);
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join("; "))
    }
}

impl CustomMetricValue for Label {
    fn new_empty(&self) -> Arc<dyn CustomMetricValue> {
        Arc::new(Self::default())
    }

    fn aggregate(&self, other: Arc<dyn CustomMetricValue>) {
        if let Some(other) = other.as_any().downcast_ref::<Self>() {
            let words = other.words().clone();
            words.into_iter().for_each(|word| self.add(word));
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_eq(&self, other: &Arc<dyn CustomMetricValue>) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| {
            let words = other.words().clone();
            *self.words() == words
        })
    }
}

/// Adds `value` to the label `name` of an operator.
pub fn add_label(metrics: &ExecutionPlanMetricsSet, name: &'static str, value: impl Into<String>) {
    let label = Label::default();
    label.add(value.into());
    MetricBuilder::new(metrics).build(MetricValue::Custom { name: name.into(), value: Arc::new(label) });
}

/// Records the strategy that an operator chose.
pub fn add_strategy(metrics: &ExecutionPlanMetricsSet, strategy: impl Into<String>) {
    add_label(metrics, "strategy", strategy);
}

/// Adds `n` to the counter `name` of an operator.
pub fn count(metrics: &ExecutionPlanMetricsSet, name: &'static str, n: usize) {
    MetricBuilder::new(metrics).counter(name, 0).add(n);
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

    use crate::exec::strategy::{add_strategy, count};

    #[test]
    fn labels_are_joined_and_counters_added_up() {
        let metrics = ExecutionPlanMetricsSet::new();
        add_strategy(&metrics, "gather join");
        add_strategy(&metrics, "3 passes");
        add_strategy(&metrics, "gather join");
        count(&metrics, "pairs", 2);
        count(&metrics, "pairs", 3);
        let shown = metrics.clone_inner().aggregate_by_name().sorted_for_display().to_string();
        assert_eq!(shown, "pairs=5, strategy=gather join; 3 passes");
    }
}
