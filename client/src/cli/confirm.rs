//! Questions to the person at the terminal.

use std::io::{IsTerminal, Write};

use countersign_client::ClientError;

/// True if there is somebody who sees the question and can answer it.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks on stderr, and waits for a line. True if it is this word; anything else is a no.
pub fn ask(question: &str, word: &str) -> Result<bool, ClientError> {
    let lost = |error: std::io::Error| {
        ClientError::Usage(format!(
            "the answer cannot be read ({error}); run the command again on a terminal"
        ))
    };
    eprint!("{question}");
    std::io::stderr().flush().map_err(lost)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(lost)?;
    Ok(answer.trim() == word)
}
