//! A configuration that is parsed once and used by all later calls of the instance while it is in
//! force.

use std::cell::RefCell;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::{Failure, Host};

/// The parsed configuration, with the revision of its document. `check` fills it: a node that keeps
/// the memory of an instance after `check` passes it to every later call.
pub struct Parsed<C>(RefCell<Option<(Vec<u8>, Rc<C>)>>);

impl<C: DeserializeOwned> Parsed<C> {
    /// Creates a cell without a parsed configuration.
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Returns the parsed form of the document that `host` has now.
    pub fn get(&self, host: &impl Host) -> Result<Rc<C>, Failure> {
        let revision = host.revision();
        if let Some((read, config)) = &*self.0.borrow()
            && *read == revision
        {
            return Ok(config.clone());
        }
        let config = Rc::new(crate::json::config::<C>(&host.document())?);
        *self.0.borrow_mut() = Some((revision, config.clone()));
        Ok(config)
    }
}

impl<C: DeserializeOwned> Default for Parsed<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MockHost;

    #[derive(Debug, serde::Deserialize)]
    struct Config {
        limit: u32,
    }

    #[test]
    fn a_document_is_read_once() {
        let parsed = Parsed::<Config>::new();
        let host = MockHost::default().with_config(r#"{"limit": 1}"#);
        let first = parsed.get(&host).unwrap();
        assert!(Rc::ptr_eq(&first, &parsed.get(&host).unwrap()));
    }

    #[test]
    fn a_changed_document_is_never_served_from_memory() {
        let parsed = Parsed::<Config>::new();
        assert_eq!(
            parsed
                .get(&MockHost::default().with_config(r#"{"limit": 1}"#))
                .unwrap()
                .limit,
            1
        );
        assert_eq!(
            parsed
                .get(&MockHost::default().with_config(r#"{"limit": 2}"#))
                .unwrap()
                .limit,
            2
        );
        assert!(parsed.get(&MockHost::default().with_config("{}")).is_err());
        assert_eq!(
            parsed
                .get(&MockHost::default().with_config(r#"{"limit": 2}"#))
                .unwrap()
                .limit,
            2
        );
    }
}
