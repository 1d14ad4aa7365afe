//! Who sent a webhook: the three ways in which providers of SMS sign their requests. Pure; every comparison takes the same time
//! whatever is compared. Whoever may not be believed gets one answer, and the log says why.
//!
//! Sources: Twilio, "Webhooks Security" (SHA-1 over URL and fields, or SHA-256 with a shared key); Vonage, "Signed Webhooks"
//! (a JWT, RFC 7519 and RFC 7515, with the body's digest as a claim); Standard Webhooks 1.0 (id, time and body).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

/// How far a signed time may be from now, in seconds, both ways: what is older may be a replay.
pub const WINDOW_SECONDS: i64 = 300;

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The header that carries the signature is not there.
    #[error("the signature is missing")]
    Missing,
    /// It is there and cannot be read.
    #[error("the signature cannot be read")]
    Malformed,
    /// It is another one, or it was made with another secret or for another address or body.
    #[error("the signature is not right: check the secret, and the public address that the provider calls")]
    Wrong,
    /// Its time is further than five minutes from ours.
    #[error("the signature's time is more than five minutes from ours: an old request, or a clock that is wrong")]
    OutOfTime,
}

// ── Twilio ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// A request as Twilio signs it.
#[derive(Debug, Clone, Copy)]
pub struct TwilioRequest<'r> {
    /// The public address, with its query: what Twilio called, not what a proxy made of it.
    pub url: &'r Url,
    /// `X-Twilio-Signature`.
    pub signature: Option<&'r str>,
    /// `X-Twilio-Webhooks-Signature-Settings`: only with a shared key.
    pub settings: Option<&'r str>,
    /// The fields of a form; none for a JSON body.
    pub fields: &'r [(String, String)],
    /// The body as it came.
    pub body: &'r [u8],
}

/// Checks Twilio's signature with each of the secrets. A JSON body is signed by its digest in the address.
pub fn twilio(request: TwilioRequest<'_>, secrets: &[&str]) -> Result<(), Unproven> {
    let signature = request.signature.ok_or(Unproven::Missing)?;
    let signature = STANDARD.decode(signature).map_err(|_| Unproven::Malformed)?;
    let digest = request.url.query_pairs().find(|(name, _)| name == "bodySHA256").map(|(_, digest)| digest.into_owned());
    let fields = match &digest {
        Some(digest) if request.fields.is_empty() => {
            let ours = hex::encode(Sha256::digest(request.body));
            if !bool::from(ours.as_bytes().ct_eq(digest.to_ascii_lowercase().as_bytes())) {
                return Err(Unproven::Wrong);
            }
            String::new()
        }
        // a body that nobody signed is nobody's word
        None if request.fields.is_empty() && !request.body.is_empty() => return Err(Unproven::Wrong),
        _ => joined(request.fields),
    };
    let with_sha256 = match algorithm(request.settings) {
        "HMAC_SHA1" => false,
        "HMAC_SHA256" => true,
        _ => return Err(Unproven::Malformed),
    };
    let right = spellings(request.url).iter().any(|url| {
        let signed = format!("{url}{fields}");
        secrets.iter().any(|secret| match with_sha256 {
            true => is_mac::<Hmac<Sha256>>(secret.as_bytes(), signed.as_bytes(), &signature),
            false => is_mac::<Hmac<Sha1>>(secret.as_bytes(), signed.as_bytes(), &signature),
        })
    });
    if right { Ok(()) } else { Err(Unproven::Wrong) }
}

/// Each field's name and value, by name; of a name that comes several times each value once, in order.
fn joined(fields: &[(String, String)]) -> String {
    let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in fields {
        by_name.entry(name).or_default().insert(value);
    }
    by_name.iter().flat_map(|(name, values)| values.iter().flat_map(move |value| [*name, *value])).collect()
}

/// The address with and without its port: Twilio signs the one or the other.
fn spellings(url: &Url) -> [String; 2] {
    let port = url.port_or_known_default().unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let behind = &url[url::Position::BeforePath..];
    [format!("{}://{host}{behind}", url.scheme()), format!("{}://{host}:{port}{behind}", url.scheme())]
}

fn algorithm(settings: Option<&str>) -> &str {
    let named = settings.and_then(|settings| {
        settings
            .split(',')
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim() == "algorithm")
            .map(|(_, value)| value.trim())
    });
    named.filter(|name| !name.is_empty()).unwrap_or("HMAC_SHA1")
}

// ── Vonage ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Checks Vonage's token, `Authorization: Bearer …`: signed with one of the secrets, made within five minutes of `now` (seconds
/// UTC), for this very body. Returns the token's own id: what comes twice is a replay.
pub fn vonage(authorization: Option<&str>, body: &[u8], now: i64, secrets: &[&str]) -> Result<String, Unproven> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    #[derive(Deserialize)]
    struct Claims {
        iat: i64,
        jti: String,
        payload_hash: String,
        #[serde(default)]
        exp: Option<i64>,
    }
    let authorization = authorization.ok_or(Unproven::Missing)?;
    let (scheme, token) = authorization.split_once(' ').ok_or(Unproven::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Unproven::Malformed);
    }
    let (signed, signature) = token.trim().rsplit_once('.').ok_or(Unproven::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Unproven::Malformed)?;
    // whatever else a token may ask for, `none` first of all
    if part::<Header>(header)?.alg != "HS256" {
        return Err(Unproven::Malformed);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unproven::Malformed)?;
    if !secrets.iter().any(|secret| is_mac::<Hmac<Sha256>>(secret.as_bytes(), signed.as_bytes(), &signature)) {
        return Err(Unproven::Wrong);
    }
    let claims = part::<Claims>(claims)?;
    if !is_near(claims.iat, now) || claims.exp.is_some_and(|end| end < now) {
        return Err(Unproven::OutOfTime);
    }
    let ours = hex::encode(Sha256::digest(body));
    if !bool::from(ours.as_bytes().ct_eq(claims.payload_hash.to_ascii_lowercase().as_bytes())) {
        return Err(Unproven::Wrong);
    }
    Ok(claims.jti)
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Unproven> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unproven::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Unproven::Malformed)
}

// ── Standard Webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────

/// The headers of a standard webhook.
#[derive(Debug, Clone, Copy)]
pub struct Standard<'r> {
    /// `webhook-id`: the message's own id, the same on a retry.
    pub id: Option<&'r str>,
    /// `webhook-timestamp`: seconds UTC.
    pub timestamp: Option<&'r str>,
    /// `webhook-signature`: `v1,<base64>`, several with a space between while secrets change.
    pub signature: Option<&'r str>,
}

/// Checks a standard webhook with each of the secrets (`whsec_…`, or any text).
pub fn standard(headers: Standard<'_>, body: &[u8], now: i64, secrets: &[&str]) -> Result<(), Unproven> {
    let (Some(id), Some(timestamp), Some(signature)) = (headers.id, headers.timestamp, headers.signature) else {
        return Err(Unproven::Missing);
    };
    let time: i64 = timestamp.parse().map_err(|_| Unproven::Malformed)?;
    // a full stop in an id would move the border between the signed parts
    if id.is_empty() || id.contains('.') {
        return Err(Unproven::Malformed);
    }
    if !is_near(time, now) {
        return Err(Unproven::OutOfTime);
    }
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let given: Vec<Vec<u8>> =
        signature.split(' ').filter_map(|one| one.strip_prefix("v1,")).filter_map(|one| STANDARD.decode(one).ok()).collect();
    if given.is_empty() {
        return Err(Unproven::Malformed);
    }
    let right = secrets.iter().any(|secret| given.iter().any(|mac| is_mac::<Hmac<Sha256>>(&key(secret), &signed, mac)));
    if right { Ok(()) } else { Err(Unproven::Wrong) }
}

/// A secret's bytes: base64 behind `whsec_`, otherwise the text itself.
pub fn key(secret: &str) -> Vec<u8> {
    let encoded = secret.strip_prefix("whsec_").map(|encoded| STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')));
    match encoded {
        Some(Ok(bytes)) => bytes,
        _ => secret.as_bytes().to_vec(),
    }
}

fn is_near(time: i64, now: i64) -> bool {
    time.abs_diff(now) <= WINDOW_SECONDS.unsigned_abs()
}

fn is_mac<M: Mac + KeyInit>(secret: &[u8], signed: &[u8], given: &[u8]) -> bool {
    // no secret proves nothing
    !secret.is_empty() && <M as KeyInit>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(signed).verify_slice(given).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// What Twilio's documentation gives as its example.
    fn example() -> Vec<(String, String)> {
        fields(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ])
    }

    fn ask(url: &str, signature: Option<&str>, fields: &[(String, String)], body: &[u8], secrets: &[&str]) -> Result<(), Unproven> {
        let url = Url::parse(url).expect("a URL");
        twilio(TwilioRequest { url: &url, signature, settings: None, fields, body }, secrets)
    }

    #[test]
    fn the_example_of_twilios_documentation_is_right_with_and_without_its_port() {
        const SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        for url in ["https://mycompany.com/myapp.php?foo=1&bar=2", "https://mycompany.com:443/myapp.php?foo=1&bar=2"] {
            assert_eq!(ask(url, Some(SIGNATURE), &example(), b"", &["alt", "12345"]), Ok(()), "{url}");
        }
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(ask(url, None, &example(), b"", &["12345"]), Err(Unproven::Missing));
        assert_eq!(ask(url, Some("%%%"), &example(), b"", &["12345"]), Err(Unproven::Malformed));
        assert_eq!(ask(url, Some(""), &example(), b"", &["12345"]), Err(Unproven::Wrong));
        assert_eq!(ask(url, Some(SIGNATURE), &example(), b"", &[]), Err(Unproven::Wrong));
        assert_eq!(ask(url, Some(SIGNATURE), &example(), b"", &[""]), Err(Unproven::Wrong));
        assert_eq!(ask("https://mycompany.com/myapp.php?foo=1", Some(SIGNATURE), &example(), b"", &["12345"]), Err(Unproven::Wrong));
        assert_eq!(ask("http://mycompany.com/myapp.php?foo=1&bar=2", Some(SIGNATURE), &example(), b"", &["12345"]), Err(Unproven::Wrong));
        let mut more = example();
        more.push(("Body".into(), "ciao".into()));
        assert_eq!(ask(url, Some(SIGNATURE), &more, b"", &["12345"]), Err(Unproven::Wrong));
    }

    #[test]
    fn an_unsigned_body_is_not_believed() {
        let url = "https://mycompany.com/sms";
        let signature =
            STANDARD.encode(<Hmac<Sha1> as KeyInit>::new_from_slice(b"12345").expect("a key").chain_update(url).finalize().into_bytes());
        assert_eq!(ask(url, Some(&signature), &[], b"", &["12345"]), Ok(()));
        assert_eq!(ask(url, Some(&signature), &[], b"{}", &["12345"]), Err(Unproven::Wrong));
    }

    fn token(header: &str, claims: &str, secret: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("a key").chain_update(&signed).finalize();
        format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()))
    }

    #[test]
    fn a_vonage_token_is_for_one_body_and_five_minutes() {
        let digest = hex::encode(Sha256::digest(b"{}"));
        let claims = |iat: i64, digest: &str| format!(r#"{{"iat":{iat},"jti":"uno","iss":"Vonage","payload_hash":"{digest}"}}"#);
        let good = r#"{"alg":"HS256","typ":"JWT"}"#;
        let told =
            |header: &str, claims: &str, body: &[u8]| vonage(Some(&token(header, claims, "segreto")), body, NOW, &["vecchio", "segreto"]);
        assert_eq!(told(good, &claims(NOW, &digest), b"{}"), Ok("uno".to_owned()));
        assert_eq!(told(good, &claims(NOW - 300, &digest), b"{}"), Ok("uno".to_owned()));
        assert_eq!(told(good, &claims(NOW - 301, &digest), b"{}"), Err(Unproven::OutOfTime));
        assert_eq!(told(good, &claims(NOW + 301, &digest), b"{}"), Err(Unproven::OutOfTime));
        assert_eq!(told(good, &claims(i64::MIN, &digest), b"{}"), Err(Unproven::OutOfTime));
        assert_eq!(told(good, &claims(NOW, &digest), b"{ }"), Err(Unproven::Wrong));
        assert_eq!(told(good, r#"{"iat":1}"#, b"{}"), Err(Unproven::Malformed));
        for alg in ["none", "RS256", "hs256", "HS512", ""] {
            assert_eq!(told(&format!(r#"{{"alg":"{alg}"}}"#), &claims(NOW, &digest), b"{}"), Err(Unproven::Malformed), "{alg}");
        }
        let right = token(good, &claims(NOW, &digest), "segreto");
        assert_eq!(vonage(Some(&right), b"{}", NOW, &["altro"]), Err(Unproven::Wrong));
        assert_eq!(vonage(None, b"{}", NOW, &["segreto"]), Err(Unproven::Missing));
        for malformed in ["", "Bearer", "Bearer ", "Basic abc", "Bearer a.b", "Bearer a.b.c", &right[..right.len() - 60]] {
            assert!(vonage(Some(malformed), b"{}", NOW, &["segreto"]).is_err(), "{malformed}");
        }
    }

    #[test]
    fn a_standard_webhook_is_signed_with_id_time_and_body() {
        let sign = |id: &str, time: i64, body: &str, secret: &str| {
            let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key(secret))
                .expect("a key")
                .chain_update(format!("{id}.{time}.{body}"))
                .finalize();
            format!("v1,{}", STANDARD.encode(mac.into_bytes()))
        };
        let told = |id: Option<&str>, time: Option<&str>, signature: Option<&str>, body: &str, secrets: &[&str]| {
            standard(Standard { id, timestamp: time, signature }, body.as_bytes(), NOW, secrets)
        };
        let (now, secret) = (NOW.to_string(), "whsec_c2VncmV0bw==");
        let right = sign("uno", NOW, "{}", secret);
        assert_eq!(told(Some("uno"), Some(&now), Some(&right), "{}", &[secret]), Ok(()));
        assert_eq!(told(Some("uno"), Some(&now), Some(&right), "{}", &["nuovo", "segreto"]), Ok(()), "the same bytes as text");
        let both = format!("v1a,abc {} {right}", sign("uno", NOW, "{}", "altro"));
        assert_eq!(told(Some("uno"), Some(&now), Some(&both), "{}", &[secret]), Ok(()));
        assert_eq!(told(Some("due"), Some(&now), Some(&right), "{}", &[secret]), Err(Unproven::Wrong));
        assert_eq!(told(Some("uno"), Some(&now), Some(&right), "{ }", &[secret]), Err(Unproven::Wrong));
        assert_eq!(told(Some("uno"), Some(&now), Some("v2,abc"), "{}", &[secret]), Err(Unproven::Malformed));
        assert_eq!(told(Some("uno"), Some("domani"), Some(&right), "{}", &[secret]), Err(Unproven::Malformed));
        assert_eq!(told(Some("u.no"), Some(&now), Some(&right), "{}", &[secret]), Err(Unproven::Malformed));
        assert_eq!(told(None, Some(&now), Some(&right), "{}", &[secret]), Err(Unproven::Missing));
        for late in [NOW - 301, NOW + 301, i64::MAX, i64::MIN] {
            let signature = sign("uno", late, "{}", secret);
            assert_eq!(told(Some("uno"), Some(&late.to_string()), Some(&signature), "{}", &[secret]), Err(Unproven::OutOfTime));
        }
    }
}
