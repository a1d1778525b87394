use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_614_265_330;

fn hmac(byte: u8) -> Secret {
    Secret::hmac([byte; 32])
}

fn ed25519(byte: u8) -> Secret {
    Secret::ed25519([byte; 32])
}

/// What a receiver holds for a secret.
fn key(secret: &Secret) -> String {
    secret.public().unwrap_or_else(|| secret.reveal())
}

fn verifier(secrets: &[Secret]) -> Verifier {
    let keys: Vec<String> = secrets.iter().map(key).collect();
    Verifier::new(keys.iter().map(String::as_str)).unwrap()
}

#[test]
fn an_ed25519_signature_is_the_one_that_the_reference_library_makes() {
    let secret = Secret::parse("whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=").unwrap();
    let signature = Signer::new(&[secret]).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", NOW, br#"{"test": 2432232314}"#);
    let known = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";
    assert_eq!(signature, known);
}

#[test]
fn secrets_are_read_as_they_are_written() {
    for secret in [hmac(7), ed25519(7)] {
        let text = secret.reveal();
        let again = Secret::parse(&text).unwrap();
        assert_eq!(again.reveal(), text);
        assert_eq!(again.public(), secret.public());
        assert_eq!(Secret::parse(text.trim_end_matches('=')).unwrap().reveal(), text, "padding may be left out");
        assert_eq!(format!("{secret:?}"), format!("Secret({})", secret.scheme()));
    }
    assert!(hmac(1).reveal().starts_with("whsec_"));
    assert!(ed25519(1).reveal().starts_with("whsk_"));
    assert!(ed25519(1).public().unwrap().starts_with("whpk_"));
}

#[test]
fn a_key_pair_is_read_where_its_halves_belong_together() {
    let public = ed25519(3).public().unwrap();
    let public = BASE64_STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
    let mut pair = [[3; 32].as_slice(), &public].concat();
    let text = |pair: &[u8]| format!("whsk_{}", BASE64_STANDARD.encode(pair));
    assert_eq!(Secret::parse(&text(&pair)).unwrap().reveal(), ed25519(3).reveal());
    pair[40] ^= 1;
    assert!(Secret::parse(&text(&pair)).is_err());
}

#[test]
fn what_is_no_secret_is_refused() {
    let of = |prefix: &str, bytes: usize| format!("{prefix}{}", BASE64_STANDARD.encode(vec![9; bytes]));
    let cases = [
        (String::new(), "prefix"),
        (of("", 32), "prefix"),
        (of("whpk_", 32), "prefix"),
        (of("whsec_", 23), "length"),
        (of("whsec_", 65), "length"),
        (of("whsk_", 31), "length"),
        (of("whsk_", 63), "length"),
        ("whsec_".to_owned(), "length"),
        ("whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!".to_owned(), "base64"),
        (format!("{} ", of("whsec_", 32)), "base64"),
    ];
    for (text, expected) in cases {
        let found = match Secret::parse(&text).unwrap_err() {
            SecretError::Prefix(_) => "prefix",
            SecretError::Base64 => "base64",
            SecretError::Length(_) => "length",
            SecretError::Key => "key",
        };
        assert_eq!(found, expected, "{text}");
    }
    for bytes in [24, 32, 64] {
        assert!(Secret::parse(&of("whsec_", bytes)).is_ok(), "{bytes}");
    }
}

#[test]
fn a_key_that_every_signature_fits_is_refused() {
    // The neutral element of the curve.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let text = format!("whpk_{}", BASE64_STANDARD.encode(neutral));
    assert_eq!(Verifier::new([text.as_str()]).unwrap_err(), SecretError::Key);
    assert!(matches!(Verifier::new([ed25519(1).reveal().as_str()]), Err(SecretError::Prefix(_))));
}

#[test]
fn while_a_secret_is_replaced_both_the_old_key_and_the_new_are_enough() {
    let (old, new) = (hmac(1), ed25519(2));
    let signature = Signer::new(&[new.clone(), old.clone()]).sign("e1", NOW, b"{}");
    assert_eq!(signature.split(' ').count(), 2);
    for held in [vec![old.clone()], vec![new.clone()], vec![old, new], vec![hmac(9), ed25519(9), hmac(1)]] {
        assert_eq!(verifier(&held).verify("e1", &NOW.to_string(), &signature, b"{}", NOW), Ok(()));
    }
    for held in [vec![hmac(9)], vec![ed25519(9)]] {
        let refused = verifier(&held).verify("e1", &NOW.to_string(), &signature, b"{}", NOW);
        assert_eq!(refused, Err(VerifyError::Mismatch));
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let signature = Signer::new(&[hmac(1)]).sign("e1", NOW, b"{}");
    let at = NOW.to_string();
    let other = signature.replace("v1,", "v2,");
    let bare = &signature[3..];
    let many = format!("{}{signature}", "v1,AAAA ".repeat(16));
    let cases: &[(&str, &str, &str, i64, VerifyError)] = &[
        ("", &at, &signature, NOW, VerifyError::Id),
        ("e1.1", &at, &signature, NOW, VerifyError::Id),
        ("e1", "", &signature, NOW, VerifyError::Timestamp),
        ("e1", "+1614265330", &signature, NOW, VerifyError::Timestamp),
        ("e1", "-5", &signature, NOW, VerifyError::Timestamp),
        ("e1", "1614265330.0", &signature, NOW, VerifyError::Timestamp),
        ("e1", "99999999999999999999", &signature, NOW, VerifyError::Timestamp),
        ("e1", &at, &signature, NOW + TOLERANCE_S + 1, VerifyError::TooOld),
        ("e1", &at, &signature, NOW - TOLERANCE_S - 1, VerifyError::TooNew),
        ("e1", &at, "", NOW, VerifyError::Unsigned),
        ("e1", &at, bare, NOW, VerifyError::Unsigned),
        ("e1", &at, &other, NOW, VerifyError::Unsigned),
        ("e1", &at, "v1,", NOW, VerifyError::Mismatch),
        ("e1", &at, "v1,AAAA", NOW, VerifyError::Mismatch),
        ("e1", &at, "v1,not base64", NOW, VerifyError::Mismatch),
        ("e2", &at, &signature, NOW, VerifyError::Mismatch),
        ("e1", &at, &many, NOW, VerifyError::Mismatch),
    ];
    let verifier = verifier(&[hmac(1)]);
    for (id, timestamp, signature, now, expected) in cases {
        let refused = verifier.verify(id, timestamp, signature, b"{}", *now);
        assert_eq!(refused, Err(*expected), "{id} {timestamp} {signature} {now}");
    }
    for now in [NOW - TOLERANCE_S, NOW + TOLERANCE_S] {
        assert_eq!(verifier.verify("e1", &at, &signature, b"{}", now), Ok(()));
    }
    assert_eq!(Verifier::new([]).unwrap().verify("e1", &at, &signature, b"{}", NOW), Err(VerifyError::Unsigned));
}

#[test]
fn the_known_answers_of_others_hold_in_both_directions() {
    let Some(directory) = std::env::var_os("TIDINGS_CONFORMANCE") else {
        println!("skipped: TIDINGS_CONFORMANCE does not name the directory of conformance files");
        return;
    };
    let file = std::path::Path::new(&directory).join("webhooks/standard-webhooks.json");
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let vectors = document["vectors"].as_array().unwrap();
    assert!(!vectors.is_empty());
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let (id, secret, body, signature) = (text("id"), text("secret"), text("body").as_bytes(), text("signature"));
        let at = vector["timestamp"].as_i64().unwrap();
        let parsed = Secret::parse(secret).unwrap();
        assert_eq!(Signer::new(std::slice::from_ref(&parsed)).sign(id, at, body), signature, "{id}");
        assert_eq!(parsed.reveal(), secret);
        let verifier = Verifier::new([secret]).unwrap();
        let at_text = at.to_string();
        assert_eq!(verifier.verify(id, &at_text, signature, body, at), Ok(()), "{id}");
        for index in 0..body.len() {
            let mut altered = body.to_vec();
            altered[index] ^= 1;
            assert!(verifier.verify(id, &at_text, signature, &altered, at).is_err(), "{id} byte {index} of the body");
        }
        assert!(verifier.verify(id, &(at + 1).to_string(), signature, body, at).is_err());
        assert!(verifier.verify(&id[1..], &at_text, signature, body, at).is_err());
    }
}

/// One byte, changed to another one that the same kind of text may hold.
fn altered(text: &str, index: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[index] = if bytes[index] == b'7' { b'8' } else { b'7' };
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_and_with_one_byte_changed_refused(
        id in "[!-~&&[^.]]{1,40}",
        at in 0..4_000_000_000_i64,
        body in prop::collection::vec(any::<u8>(), 1..200),
        seed in any::<[u8; 32]>(),
        asymmetric in any::<bool>(),
        place in any::<prop::sample::Index>(),
    ) {
        let secret = if asymmetric { Secret::ed25519(seed) } else { Secret::hmac(seed) };
        let signature = Signer::new(std::slice::from_ref(&secret)).sign(&id, at, &body);
        let verifier = verifier(&[secret]);
        let at_text = at.to_string();
        prop_assert_eq!(verifier.verify(&id, &at_text, &signature, &body, at), Ok(()));

        let mut other_body = body.clone();
        other_body[place.index(body.len())] ^= 0x20;
        prop_assert!(verifier.verify(&id, &at_text, &signature, &other_body, at).is_err());
        let other_id = altered(&id, place.index(id.len()));
        prop_assert!(verifier.verify(&other_id, &at_text, &signature, &body, at).is_err());
        let other_at = altered(&at_text, place.index(at_text.len()));
        prop_assert!(verifier.verify(&id, &other_at, &signature, &body, other_at.parse().unwrap()).is_err());
        let other_signature = altered(&signature, place.index(signature.len()));
        prop_assert!(verifier.verify(&id, &at_text, &other_signature, &body, at).is_err());
    }
}
