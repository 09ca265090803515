//! The judgement of a command with three seats: parse, canonicalise, four signatures, matching.

use miax::admission::Review;
use miax::constitution::judge;
use miax::trust::SigningKey;
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::Duration;

use crate::org::{Org, facts};
use crate::{Row, median, micros};

/// An AdmissionReview as the API server sends it.
pub(crate) fn review(operation: &str, object: &Value, old: &Value) -> Vec<u8> {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "miax.dev", "version": "v1alpha1", "kind": "ControlCommand"},
            "resource": {"group": "miax.dev", "version": "v1alpha1", "resource": "controlcommands"},
            "operation": operation,
            "name": "scale",
            "namespace": "shop",
            "userInfo": {"username": "system:serviceaccount:argocd:argocd-application-controller"},
            "object": object,
            "oldObject": old,
        },
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn rows() -> Vec<Row> {
    let org = Org::new();
    let (state, facts) = (org.state(), facts());
    let body = review("CREATE", &org.approved(), &Value::Null);
    let time = median(|| {
        let review = Review::read(&body).expect("a review");
        assert!(judge(black_box(&review.request), &state, &facts).is_allowed());
    });
    let key = SigningKey::from_ed25519_seed(&[1; 32]);
    let public = key.public().expect("public");
    let (format, value) = key.sign(&body).expect("signed");
    let one = median(|| {
        miax::trust::verify(black_box(&public), format, &value, &body).expect("verifies");
    });
    vec![
        Row::new("judge a 3-seat command, 4 signatures", micros(time), "< 400 us", time < Duration::from_micros(400)),
        Row::reference("one strict Ed25519 verification", micros(one)),
    ]
}
