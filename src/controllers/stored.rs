//! Objects as they are stored, small enough to be remembered by the thousand.

use std::borrow::Cow;

use kube::Resource;
use kube::api::DynamicObject;
use kube::core::{ApiResource, DynamicResourceScope, ObjectMeta, TypeMeta};
use serde::{Deserialize, Deserializer};

/// An object of any kind, without `metadata.managedFields`. What is not metadata is kept as text: as a tree of values it takes
/// five times as much.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    types: Option<TypeMeta>,
    metadata: ObjectMeta,
    text: Box<str>,
}

impl Stored {
    /// The object.
    ///
    /// # Errors
    /// None that can happen: the text was made of values.
    pub(super) fn object(&self) -> Result<DynamicObject, serde_json::Error> {
        let Self { types, metadata, text } = self;
        let data = serde_json::from_str(text)?;
        Ok(DynamicObject { types: types.clone(), metadata: metadata.clone(), data })
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DynamicObject { types, mut metadata, data } = DynamicObject::deserialize(deserializer)?;
        metadata.managed_fields = None;
        Ok(Self { types, metadata, text: data.to_string().into() })
    }
}

impl Resource for Stored {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::kind(resource)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::group(resource)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::version(resource)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::plural(resource)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_signed_stays_and_who_wrote_it_goes() {
        let fields = json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:action": {}}}}]);
        let mut object = json!({
            "apiVersion": "miax.dev/v1alpha1", "kind": "SLO",
            "metadata": {"name": "a", "namespace": "shop", "labels": {"team": "shop"}, "managedFields": fields},
            "spec": {"unknown": {"to": ["our", "types"]}, "text": "\u{0}\"\u{1f512}"}, "status": {"digest": "sha256:00"},
        });
        let stored: Stored = serde_json::from_value(object.clone()).expect("an object");
        object["metadata"].as_object_mut().expect("metadata").remove("managedFields");
        assert_eq!(serde_json::to_value(stored.object().expect("the same")).expect("a value"), object);
    }
}
