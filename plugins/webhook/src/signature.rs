//! The header `countersign-signature: t=<seconds since 1970>,v1=<hex>` of both directions:
//! HMAC-SHA256 over the time in decimal, a dot, and the body.

use countersign_sdk::{Failure, Host, Response};

pub(crate) const HEADER: &str = "countersign-signature";
const ALGORITHM: &str = "HS256";
/// Maximum difference between an answer's time and the node's, in seconds.
const FRESH: u64 = 60;

/// Computes the header's value for `body`, sent now.
pub(crate) fn sign(host: &impl Host, secret: &str, body: &[u8]) -> Result<String, Failure> {
    let time = (host.now() / 1000).to_string();
    let code = host.sign(secret, ALGORITHM, &signed(&time, body))?;
    Ok(format!("t={time},v1={}", hex::encode(code)))
}

/// Checks that the holder of `secret` sent `response` just now.
pub(crate) fn verify(host: &impl Host, secret: &str, response: &Response) -> Result<(), String> {
    let header = header(response)?;
    let (time, codes) = parse(header)?;
    let is_genuine = |code: &Vec<u8>| {
        host.verify(secret, ALGORITHM, &signed(time, &response.body), code)
            .map_err(|error| format!("cannot verify the answer: {error}"))
    };
    let mut genuine = false;
    for code in &codes {
        genuine |= is_genuine(code)?;
    }
    if !genuine {
        return Err("the answer is not signed with the expected secret".into());
    }
    check_time(time, host.now() / 1000)
}

fn header(response: &Response) -> Result<&str, String> {
    let mut found = response
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(HEADER));
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(value),
        (None, _) => Err(format!("the answer has no header {HEADER}")),
        (Some(_), Some(_)) => Err(format!("the answer has the header {HEADER} twice")),
    }
}

/// Parses the time and the codes. There may be several codes while a secret is being replaced.
/// Other schemes are skipped.
fn parse(header: &str) -> Result<(&str, Vec<Vec<u8>>), String> {
    let malformed = |what: &str| format!("{HEADER}: {what}");
    let mut time = None;
    let mut codes = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", _)) if time.is_some() => return Err(malformed("two times")),
            Some(("t", value)) => time = Some(value),
            Some(("v1", _)) if codes.len() == 4 => return Err(malformed("more than four codes")),
            Some(("v1", value)) => {
                codes.push(hex::decode(value).map_err(|_| malformed("v1 is not hex"))?)
            }
            Some(_) => {}
            None => return Err(malformed("not a list of name=value")),
        }
    }
    match time {
        Some(time) if !codes.is_empty() => Ok((time, codes)),
        Some(_) => Err(malformed("no v1")),
        None => Err(malformed("no t")),
    }
}

fn check_time(time: &str, now: u64) -> Result<(), String> {
    let decimal = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let time: u64 = time
        .parse()
        .ok()
        .filter(|_| decimal)
        .ok_or_else(|| format!("{HEADER}: t is not a number"))?;
    if time.abs_diff(now) <= FRESH {
        Ok(())
    } else {
        Err(format!(
            "the answer's time is {} seconds away from the node's",
            time.abs_diff(now)
        ))
    }
}

fn signed(time: &str, body: &[u8]) -> Vec<u8> {
    [time.as_bytes(), b".", body].concat()
}
