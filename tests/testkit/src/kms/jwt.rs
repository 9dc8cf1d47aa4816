//! Verifies tokens of a Kubernetes API server (RFC 7515, 7517, 7518, 7519), as a cloud's identity provider does with projected tokens.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::account::Provider;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    /// A string or a list of strings.
    #[serde(default)]
    aud: Value,
    exp: Option<i64>,
    nbf: Option<i64>,
}

/// Returns the token's subject if a key of the provider signed it, its issuer and audience are the provider's, and it is valid at `now`
/// (Unix seconds). Errors state the reason without parts of the token.
pub(super) fn verified_subject(token: &str, provider: &Provider, now: i64) -> Result<String, String> {
    let parts: Vec<&str> = token.trim().split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err("it does not have three parts".to_owned());
    };
    let signed = &token.trim()[..header.len() + 1 + claims.len()];
    let header: Header = decode_part(header).ok_or("its header cannot be read")?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| "its signature cannot be read")?;
    let keys = provider.jwks["keys"].as_array().map(Vec::as_slice);
    let holds = keys.unwrap_or_default().iter().any(|key| {
        let named = header.kid.is_none() || key["kid"].as_str() == header.kid.as_deref();
        named && verifies(&header.alg, key, signed.as_bytes(), &signature)
    });
    if !holds {
        return Err("it is not signed with a key of the identity provider".to_owned());
    }
    let claims: Claims = decode_part(claims).ok_or("its claims cannot be read")?;
    if claims.iss.as_deref() != Some(provider.issuer.as_str()) {
        return Err("it has another issuer".to_owned());
    }
    let audiences = match &claims.aud {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if !audiences
        .iter()
        .any(|audience| audience.as_str() == Some(provider.audience.as_str()))
    {
        return Err("it has another audience".to_owned());
    }
    if claims.exp.is_none_or(|end| end <= now) {
        return Err("it has expired".to_owned());
    }
    if claims.nbf.is_some_and(|start| start > now) {
        return Err("it is not valid yet".to_owned());
    }
    claims.sub.ok_or_else(|| "it has no subject".to_owned())
}

fn decode_part<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Accepts only the two algorithms with which API servers sign by default, and only with a key of the matching type.
fn verifies(algorithm: &str, key: &Value, signed: &[u8], signature: &[u8]) -> bool {
    let number = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
    let text = |name: &str| key[name].as_str().unwrap_or_default();
    let checked = match (algorithm, text("kty"), text("crv")) {
        ("RS256", "RSA", _) => number("n").zip(number("e")).map(|(n, e)| {
            RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
        }),
        ("ES256", "EC", "P-256") => number("x").zip(number("y")).map(|(x, y)| {
            let point = [&[4][..], &x, &y].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
        }),
        _ => None,
    };
    checked.is_some_and(|checked| checked.is_ok())
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    pub(in crate::kms) const ISSUER: &str = "https://issuer.example";
    pub(in crate::kms) const SUBJECT: &str = "system:serviceaccount:envelope:controller";
    const AUDIENCE: &str = "sts.cloud.tencent.com";
    const NOW: i64 = 1_700_000_000;

    /// An API server's signing key.
    pub(in crate::kms) struct Signer(EcdsaKeyPair);

    impl Signer {
        pub(in crate::kms) fn new() -> Self {
            Signer(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
        }

        pub(in crate::kms) fn provider(&self) -> Provider {
            let point = self.0.public_key().as_ref();
            let (x, y) = point[1..].split_at(32);
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let key = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "x": encode(x), "y": encode(y)});
            Provider {
                id: "cls-test".to_owned(),
                issuer: ISSUER.to_owned(),
                audience: AUDIENCE.to_owned(),
                jwks: json!({"keys": [key]}),
            }
        }

        pub(in crate::kms) fn token(&self, claims: &Value) -> String {
            self.token_of(&json!({"alg": "ES256", "kid": "k1"}), claims)
        }

        fn token_of(&self, header: &Value, claims: &Value) -> String {
            let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", encode(header), encode(claims));
            let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
            let signature = URL_SAFE_NO_PAD.encode(signature.expect("signed"));
            format!("{signed}.{signature}")
        }
    }

    pub(in crate::kms) fn claims(now: i64) -> Value {
        json!({"iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "exp": now + 600, "nbf": now, "iat": now})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims(NOW);
        claims[name] = value;
        claims
    }

    #[test]
    fn subject_of_a_valid_token_is_returned_and_other_tokens_are_rejected_with_the_reason() {
        let signer = Signer::new();
        let provider = signer.provider();
        let of = |token: &str| verified_subject(token, &provider, NOW);
        assert_eq!(of(&signer.token(&claims(NOW))).as_deref(), Ok(SUBJECT));
        let one = signer.token(&with("aud", json!(AUDIENCE)));
        assert_eq!(
            of(&format!("{one}\n")).as_deref(),
            Ok(SUBJECT),
            "Python's SDK sends a trailing line feed"
        );
        for (changed, why) in [
            (
                with("iss", json!("https://other.example")),
                "it has another issuer",
            ),
            (with("aud", json!(["kubernetes"])), "it has another audience"),
            (with("aud", Value::Null), "it has another audience"),
            (with("exp", json!(NOW)), "it has expired"),
            (with("exp", Value::Null), "it has expired"),
            (with("nbf", json!(NOW + 1)), "it is not valid yet"),
            (with("sub", Value::Null), "it has no subject"),
        ] {
            assert_eq!(of(&signer.token(&changed)), Err(why.to_owned()), "{changed}");
        }
        let unsigned = Err("it is not signed with a key of the identity provider".to_owned());
        assert_eq!(of(&Signer::new().token(&claims(NOW))), unsigned);
        for header in [
            json!({"alg": "none", "kid": "k1"}),
            json!({"alg": "HS256", "kid": "k1"}),
            json!({"alg": "RS256", "kid": "k1"}),
            json!({"alg": "ES256", "kid": "k2"}),
        ] {
            let token = signer.token_of(&header, &claims(NOW));
            assert_eq!(of(&token), unsigned, "{header}");
        }
        let (bare, _) = one.rsplit_once('.').expect("three parts");
        assert_eq!(of(&format!("{bare}.")), unsigned);
        assert_eq!(of(bare), Err("it does not have three parts".to_owned()));
        assert_eq!(of(".."), Err("its header cannot be read".to_owned()));
    }

    /// RFC 7515, appendices A.2 and A.3.
    #[test]
    fn signatures_of_the_rfc_examples_verify_and_fail_with_a_flipped_bit() {
        let claims =
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let rsa = json!({"kty": "RSA", "e": "AQAB", "n":
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
        let rsa_signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let ec = json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let ec_signature =
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        for (algorithm, header, key, signature) in [
            ("RS256", "eyJhbGciOiJSUzI1NiJ9", rsa, rsa_signature),
            ("ES256", "eyJhbGciOiJFUzI1NiJ9", ec, ec_signature),
        ] {
            let signed = format!("{header}.{claims}");
            let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
            let holds = |signature: &[u8]| verifies(algorithm, &key, signed.as_bytes(), signature);
            assert!(holds(&signature), "{algorithm}");
            signature[40] ^= 1;
            assert!(!holds(&signature), "{algorithm}");
        }
    }
}
