use serde_json::Value;

use super::scheme::{Datum, made};
use super::{Channel, Icon, Kind, Rule, Shown};
use crate::graph::colour_of;

fn shown(channel: Channel, value: &Value) -> Shown {
    match channel.kind() {
        Kind::Colour => Shown::Colour(colour_of(value.as_str().unwrap()).unwrap()),
        Kind::Number(..) => Shown::Number(value.as_f64().unwrap() as f32),
        Kind::Icon => Shown::Icon(Icon::ALL.into_iter().find(|icon| icon.name() == value).unwrap()),
        Kind::Text => Shown::Text(value.as_str().unwrap().into()),
    }
}

fn rule(channel: Channel, given: &Value) -> Rule {
    let by = channel.by().iter().copied().find(|by| given["by"] == **by).unwrap();
    let mapping = given["mapping"].as_object().into_iter().flatten();
    let palette = given["palette"].as_array().into_iter().flatten();
    Rule {
        value: given.get("value").map(|value| shown(channel, value)),
        mapping: mapping.map(|(name, to)| (name.as_str().into(), shown(channel, to))).collect(),
        palette: palette.map(|colour| colour_of(colour.as_str().unwrap()).unwrap()).collect(),
        ..Rule::by(by)
    }
}

fn datum(value: &Value) -> Option<Datum<'_>> {
    match value {
        Value::String(text) => Some(Datum::Text(text)),
        Value::Bool(flag) => Some(Datum::Flag(*flag)),
        other => other.as_f64().map(Datum::Number),
    }
}

#[test]
fn rules_come_to_the_same_here_as_in_the_viewer() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../../tests/data/encoding.json")).unwrap();
    for case in &cases {
        let channel = Channel::ALL.into_iter().find(|channel| case["channel"] == channel.name()).unwrap();
        let rule = rule(channel, &case["rule"]);
        let data: Vec<Option<Datum<'_>>> = case["data"].as_array().unwrap().iter().map(datum).collect();
        let scheme = made(channel, &rule, &data);
        for (datum, wanted) in data.iter().zip(case["shows"].as_array().unwrap()) {
            let found = scheme.show(*datum);
            match (&found, wanted) {
                (None, Value::Null) => {}
                (Some(Shown::Number(found)), Value::Number(wanted)) => {
                    assert!((f64::from(*found) - wanted.as_f64().unwrap()).abs() < 1e-5, "{case}: {found}");
                }
                _ => assert_eq!(found, Some(shown(channel, wanted)), "{case}"),
            }
        }
    }
    for channel in Channel::ALL {
        assert!(cases.iter().any(|case| case["channel"] == channel.name()), "{}", channel.name());
    }
}
