//! One suite, four instances: a test written over the schemes becomes one test for each scheme.

/// Turns each named `fn(Scheme)` into a test in a module for each scheme.
macro_rules! scheme_suite {
    (@instance $module:ident, $scheme:ident: $($test:ident)*) => {
        mod $module {
            $(#[test] fn $test() { super::$test(countersign_engine::Scheme::$scheme) })*
        }
    };
    ($($test:ident),* $(,)?) => {
        $crate::suite::scheme_suite!(@instance ecdsa, EcdsaSecp256k1: $($test)*);
        $crate::suite::scheme_suite!(@instance ed25519, Ed25519: $($test)*);
        $crate::suite::scheme_suite!(@instance schnorr, SchnorrSecp256k1: $($test)*);
        $crate::suite::scheme_suite!(@instance taproot, Taproot: $($test)*);
    };
}
pub(crate) use scheme_suite;
