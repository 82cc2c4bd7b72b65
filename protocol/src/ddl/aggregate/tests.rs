use serde_json::json;

use super::*;

fn aggregator(aggregate: Value, values: &[Value]) -> Aggregator {
    let aggregate: Aggregate = serde_json::from_value(aggregate).unwrap();
    let mut aggregator = Aggregator::new(&aggregate).unwrap();
    values.iter().for_each(|value| aggregator.add(value));
    aggregator
}

#[test]
fn words_stand_for_values() {
    for function in ["summary", "boolean_summary"] {
        let words = json!({"true": "enabled", "false": "disabled", "thing": 7, "1": "one", "format": "%s=%d"});
        let values = [
            json!(true),
            json!("true"),
            json!(false),
            json!("thing"),
            json!(1),
            json!("else"),
        ];
        let function = json!({"function": function, "args": ["o", words]});
        let summed = aggregator(function, &values);
        let AggregateResult::Counts { entries, format } = summed.result() else {
            panic!("{summed:?}")
        };
        assert_eq!(
            entries,
            [
                ("enabled", 2),
                ("7", 1),
                ("disabled", 1),
                ("else", 1),
                ("one", 1)
            ]
        );
        assert_eq!(format, Some("%s=%d"));
        assert_eq!(
            serde_json::to_string(&summed).unwrap(),
            r#"{"7":1,"disabled":1,"else":1,"enabled":2,"one":1}"#
        );
    }
}

#[test]
fn an_average_is_that_of_the_numbers() {
    let function = json!({"function": "average", "args": ["o"]});
    let values = [json!(1), json!("2.5"), json!(2.5), json!("x"), json!(null)];
    let summed = aggregator(function.clone(), &values);
    let AggregateResult::Average {
        mean,
        count,
        skipped,
        format,
    } = summed.result()
    else {
        panic!("{summed:?}")
    };
    assert_eq!((mean, count, skipped), (Some(2.0), 3, 2));
    assert_eq!(format_number(format, 2.0), "Average: 2.000");
    assert_eq!(
        serde_json::to_string(&summed).unwrap(),
        r#"{"average":2.0}"#
    );

    let nothing = aggregator(function, &[json!("x"), json!("inf"), json!("NaN")]);
    assert!(nothing.is_empty());
    assert_eq!(serde_json::to_string(&nothing).unwrap(), "{}");
}

#[test]
fn a_chart_has_a_bar_for_each_bucket() {
    let chart = |values: &[f64]| Chart::of(values).map(|chart| chart.to_string());
    assert_eq!(chart(&[]), None);
    assert_eq!(chart(&[3.0, 3.0]).unwrap(), "3 [█] 3");
    assert_eq!(chart(&[1.0, 1.0, 4.0]).unwrap(), "1 [█ ▄] 4");
    let many: Vec<f64> = (0..1000).map(f64::from).collect();
    let line = chart(&many).unwrap();
    assert_eq!(line.chars().filter(|c| *c == '█').count(), 50, "{line}");
    let extremes = chart(&[f64::MIN, 0.0, f64::MAX]).unwrap();
    assert!(extremes.contains("[███]"), "{extremes}");
    let summed = aggregator(
        json!({"function": "chart", "args": ["o"]}),
        &[json!(1), json!("2"), json!("x")],
    );
    assert_eq!(
        serde_json::to_string(&summed).unwrap(),
        r#"{"chart":"1 [██] 2"}"#
    );
    let AggregateResult::Chart { skipped: 1, .. } = summed.result() else {
        panic!("{summed:?}")
    };
}

#[test]
fn what_is_unknown_is_named() {
    let new = |aggregate: Value| {
        let aggregate: Aggregate = serde_json::from_value(aggregate).unwrap();
        Aggregator::new(&aggregate).unwrap_err().to_string()
    };
    assert_eq!(
        new(json!({"function": "median", "args": ["o"]})),
        "output o is not summed up: there is no function \"median\""
    );
    for args in [json!([]), json!([{}]), json!([7]), json!(null)] {
        assert_eq!(
            new(json!({"function": "summary", "args": args})),
            "function \"summary\" is given no output to sum up"
        );
    }
}

#[test]
fn formats_hold_a_number() {
    for (format, expected) in [
        ("%.1f hours", "2.5 hours"),
        ("%f", "2.500000"),
        ("%6.2f|", "  2.50|"),
        ("%d", "2"),
        ("%s and %v", "2.5 and 2.5"),
        ("100%% of %.0f", "100% of 2"),
        ("no place", "no place"),
        ("%q %", "%q %"),
        ("größe %.2f%", "größe 2.50%"),
    ] {
        assert_eq!(format_number(format, 2.5), expected, "{format}");
    }
    assert!(format_number("%999999999.999999999f", 2.5).len() < 200);
}
