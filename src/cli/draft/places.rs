//! The places of a workload that `miax draft patch` changes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::output::Failure;

/// The changes of a patch, by container.
pub(super) fn places(
    replicas: Option<u32>,
    images: &[String],
    env: &[String],
    requests: &[String],
    limits: &[String],
) -> Result<Value, Failure> {
    let mut containers: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for text in images {
        let (container, image) = split(text, '=', "CONTAINER=IMAGE")?;
        containers.entry(container.to_owned()).or_default().insert("image".to_owned(), json!(image));
    }
    for text in env {
        let (container, pair) = split(text, ':', "CONTAINER:NAME=VALUE")?;
        let (name, value) = split(pair, '=', "CONTAINER:NAME=VALUE")?;
        let list = containers.entry(container.to_owned()).or_default().entry("env").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!({"name": name, "value": value}));
        }
    }
    for (field, texts) in [("requests", requests), ("limits", limits)] {
        for text in texts {
            let (container, pair) = split(text, ':', "CONTAINER:RESOURCE=AMOUNT")?;
            let (what, amount) = split(pair, '=', "CONTAINER:RESOURCE=AMOUNT")?;
            let map = containers.entry(container.to_owned()).or_default().entry(field).or_insert_with(|| json!({}));
            if let Some(map) = map.as_object_mut() {
                map.insert(what.to_owned(), json!(amount));
            }
        }
    }
    let named = |(name, mut fields): (String, Map<String, Value>)| {
        fields.insert("name".to_owned(), json!(name));
        Value::Object(fields)
    };
    let mut fields = Map::new();
    fields.extend(replicas.map(|r| ("replicas".to_owned(), json!(r))));
    if !containers.is_empty() {
        fields.insert("containers".to_owned(), containers.into_iter().map(named).collect());
    }
    Ok(fields.into())
}

fn split<'a>(text: &'a str, at: char, form: &str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once(at).filter(|(before, _)| !before.is_empty()).ok_or_else(|| {
        Failure::new(format!("`{text}` is not what changes in a container")).with_next(format!("write {form}"))
    })
}
