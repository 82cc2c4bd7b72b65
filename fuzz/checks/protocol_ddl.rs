//! A DDL that reads must survive a round trip, and whatever stands in it: its checks, inputs and aggregates never panic.

use muster_protocol::ddl::{AggregateResult, Aggregator, Ddl, Inputs, format_number};
use serde_json::{Value, json};

pub(crate) fn run(data: &[u8]) {
    let Ok(ddl) = Ddl::parse(data) else { return };
    let text = serde_json::to_vec(&ddl).expect("what was read can be written");
    assert_eq!(
        Ddl::parse(&text).expect("what was written can be read"),
        ddl
    );
    let _ = ddl.check();
    for action in &ddl.actions {
        inputs(action);
        let mut outputs = Inputs::new();
        action.fill_outputs(&mut outputs);
        let filled = outputs.clone();
        action.fill_outputs(&mut outputs);
        assert_eq!(outputs, filled);
        for aggregate in &action.aggregate {
            if let Ok(aggregator) = Aggregator::new(aggregate) {
                sum_up(aggregator);
            }
        }
    }
}

fn inputs(action: &muster_protocol::ddl::Action) {
    let words: Vec<_> = action
        .input
        .keys()
        .map(|name| format!("{name}=7"))
        .collect();
    // What words give, the check of typed values takes.
    if let Ok(inputs) = action.parse_inputs(&words) {
        assert_eq!(action.validate(&inputs), Ok(()));
    }
}

fn sum_up(mut aggregator: Aggregator) {
    for value in [
        json!("a"),
        json!("1.5"),
        json!(2),
        json!(true),
        json!([1]),
        Value::Null,
    ] {
        aggregator.add(&value);
    }
    serde_json::to_string(&aggregator).expect("results can be written");
    if let AggregateResult::Average { format, .. } = aggregator.result() {
        let _ = format_number(format, 1.5);
    }
}
