//! Runs risk plugins: WebAssembly components that can only refuse.
