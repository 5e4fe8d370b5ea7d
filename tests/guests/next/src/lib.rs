//! A guest of `countersign:policy@0.2.0`, a version that only tests know. It reports its
//! configuration, and its reason shows in which form the task reached it.

#[cfg(target_family = "wasm")]
mod wasm {
    wit_bindgen::generate!({
        path: "../../../host/tests/fixtures/wit-next",
        world: "risk-plugin",
    });

    use countersign::policy::config;
    use exports::countersign::policy::plugin::{Guest, Info, Rejection, Task, Verdict};

    struct Next;

    impl Guest for Next {
        fn describe() -> Info {
            Info {
                name: "next".into(),
                version: "9.0.0".into(),
            }
        }

        fn check() -> Result<(), String> {
            let document = config::document();
            if document.contains("wrong") {
                Err("it says wrong".into())
            } else {
                Ok(())
            }
        }

        fn evaluate(task: Task) -> Verdict {
            let document = config::document();
            if document.contains("approve") {
                return Verdict::Approve;
            }
            if document.contains("abstain") {
                return Verdict::Abstain;
            }
            let Task {
                id,
                attempt,
                tags,
                raw,
            } = task;
            let reason = format!("{id} {attempt} {tags:?} {}", raw.len());
            Verdict::Reject(Rejection {
                code: "as-told".into(),
                reason,
            })
        }
    }

    export!(Next);
}
