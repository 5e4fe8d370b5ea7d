//! Compilation of components: the process that does it, its limits, and the cache.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countersign_host::{
    Code, CodeCache, CompileError, Compiler, CompilerLimits, CompilerProgram, Host, HostOptions,
    LoadError, PluginSpec,
};
use sha2::{Digest, Sha256};

use crate::guests::{keygen, open_rules, services, soon};

fn program(limits: CompilerLimits) -> Compiler {
    let program = env!("CARGO_BIN_EXE_countersign-plugin-compiler").into();
    Compiler::Child(CompilerProgram {
        program,
        arguments: Vec::new(),
        limits,
    })
}

/// The process has read what it may use, and waits for a component of one byte. It inherited a file
/// that its parent, which may have been started by anything, did not mark.
#[test]
fn the_compiler_is_confined_before_it_reads_a_byte_of_the_component() {
    let mut child = Command::new("/bin/sh")
        .args(["-c", "exec \"$0\" 9</etc/passwd"])
        .arg(env!("CARGO_BIN_EXE_countersign-plugin-compiler"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = [1_u64 << 20, 60, 1 << 30, 1].map(u64::to_be_bytes);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&request.concat()).unwrap();
    // The tests may run under a filter of their own. Kernels before 5.9 count none.
    let filters = |status: &str| -> Option<u32> {
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("Seccomp_filters:\t"));
        count.map(|count| count.parse().unwrap())
    };
    let own = filters(&std::fs::read_to_string("/proc/self/status").unwrap());
    let proc = format!("/proc/{}", child.id());
    let confined = || {
        let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
        let has = |line: &str| status.lines().any(|found| found == line);
        has("Seccomp:\t2")
            && has("NoNewPrivs:\t1")
            && filters(&status) == own.map(|outside| outside + 2)
    };
    let end = Instant::now() + Duration::from_secs(60);
    while !confined() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let last = confined();
    let open = std::fs::read_dir(format!("{proc}/fd")).unwrap();
    let mut open: Vec<_> = open.map(|entry| entry.unwrap().file_name()).collect();
    open.sort_unstable();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(last, "the process is not confined");
    assert_eq!(open, ["0", "1", "2"], "it kept what it inherited");
}

fn nobody() -> Compiler {
    let program = "/no/such/program".into();
    Compiler::Child(CompilerProgram {
        program,
        arguments: Vec::new(),
        limits: CompilerLimits::default(),
    })
}

fn shell(script: &str, limits: CompilerLimits) -> Compiler {
    let arguments = ["-c", script].map(String::from).to_vec();
    Compiler::Child(CompilerProgram {
        program: "/bin/sh".into(),
        arguments,
        limits,
    })
}

fn host(compiler: Compiler) -> Host {
    Host::with(HostOptions {
        compiler,
        ..HostOptions::default()
    })
    .unwrap()
}

async fn refused(host: &Host, spec: &PluginSpec) -> LoadError {
    host.load(spec, services())
        .await
        .expect_err("it was loaded")
}

async fn not_compiled(compiler: Compiler, spec: &PluginSpec) -> CompileError {
    let error = refused(&host(compiler), spec).await;
    assert_eq!(error.code(), Code::Compile, "{error}");
    let LoadError::Compile { source, .. } = error else {
        panic!("{error}")
    };
    source
}

/// A function whose blocks are nested so deep that compiling it takes far longer than reading it.
fn bomb(folder: &Path) -> PluginSpec {
    let depth = 100_000;
    let body = "block local.get 0 br_if 0 ".repeat(depth) + &"end ".repeat(depth);
    let text = format!("(component (core module (func (param i32) {body})))");
    let file = folder.join("bomb.wasm");
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    PluginSpec {
        file,
        ..open_rules()
    }
}

#[tokio::test]
async fn what_a_child_compiled_judges() {
    let host = host(program(CompilerLimits::default()));
    let plugin = host.load(&open_rules(), services()).await.unwrap();
    assert_eq!(
        plugin.evaluate(&keygen(), soon()).await.verdict.refusal(),
        None
    );
}

#[tokio::test]
async fn a_component_that_the_child_rejects_is_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.wasm");
    let mut bytes = std::fs::read(open_rules().file).unwrap();
    bytes.truncate(1000);
    std::fs::write(&file, bytes).unwrap();
    let error = refused(
        &host(program(CompilerLimits::default())),
        &PluginSpec {
            file,
            ..open_rules()
        },
    )
    .await;
    assert_eq!(error.code(), Code::NotAComponent, "{error}");
}

#[tokio::test]
async fn a_compile_bomb_is_stopped_by_its_processor_time() {
    let folder = tempfile::tempdir().unwrap();
    let limits = CompilerLimits {
        cpu_seconds: 1,
        ..CompilerLimits::default()
    };
    let error = not_compiled(program(limits), &bomb(folder.path())).await;
    assert!(matches!(error, CompileError::Cpu(1)), "{error}");
}

#[tokio::test]
async fn a_compile_bomb_is_stopped_by_the_clock_and_its_process_ends() {
    let folder = tempfile::tempdir().unwrap();
    let wall = Duration::from_millis(300);
    let limits = CompilerLimits {
        wall,
        ..CompilerLimits::default()
    };
    let pid = folder.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 1000", pid.display());
    let error = not_compiled(shell(&script, limits.clone()), &open_rules()).await;
    assert!(matches!(error, CompileError::Wall(_)), "{error}");
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(
        !Path::new("/proc").join(pid.trim()).exists(),
        "the compiler goes on"
    );
    let bomb = bomb(folder.path());
    let started = Instant::now();
    let error = not_compiled(program(limits), &bomb).await;
    assert!(matches!(error, CompileError::Wall(_)), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn memory_and_output_of_a_compilation_are_limited() {
    let limits = CompilerLimits {
        memory_bytes: 8 << 20,
        ..CompilerLimits::default()
    };
    let error = not_compiled(program(limits), &open_rules()).await;
    assert!(matches!(error, CompileError::Memory(_)), "{error}");
    let limits = CompilerLimits {
        output_bytes: 1000,
        ..CompilerLimits::default()
    };
    let error = not_compiled(program(limits), &open_rules()).await;
    assert!(matches!(error, CompileError::Output(1000)), "{error}");
}

#[tokio::test]
async fn a_compiler_that_crashes_or_is_missing_is_named() {
    let error = not_compiled(
        shell("echo oh no >&2; exit 3", CompilerLimits::default()),
        &open_rules(),
    )
    .await;
    assert!(error.to_string().contains("oh no"), "{error}");
    let error = not_compiled(nobody(), &open_rules()).await;
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}

/// A compiler that answers with something else than code of this engine is not believed.
#[tokio::test]
async fn what_is_not_machine_code_is_not_loaded() {
    let error = not_compiled(
        shell("cat > /dev/null; echo code", CompilerLimits::default()),
        &open_rules(),
    )
    .await;
    assert!(matches!(error, CompileError::Crashed(_)), "{error}");
}

/// The node's environment may hold what a compiler fed with a hostile file must not see.
#[tokio::test]
async fn the_compiler_sees_no_environment_and_no_directory_of_the_node() {
    let script = "env >&2; pwd >&2; exit 65";
    let error = refused(
        &host(shell(script, CompilerLimits::default())),
        &open_rules(),
    )
    .await
    .to_string();
    assert!(
        std::env::var("PATH").is_ok() && !error.contains("PATH="),
        "{error}"
    );
    assert!(!error.contains(env!("CARGO_MANIFEST_DIR")), "{error}");
}

fn cached(folder: &Path, key: u8, compiler: Compiler) -> Host {
    let cache = Some(CodeCache::new(folder, [key; 32]));
    Host::with(HostOptions {
        compiler,
        cache,
        ..HostOptions::default()
    })
    .unwrap()
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    let files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[tokio::test]
async fn compiled_once_is_compiled_for_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("code");
    cached(&folder, 1, Compiler::InProcess)
        .load(&open_rules(), services())
        .await
        .unwrap();
    let file = only_file(&folder);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let plugin = cached(&folder, 1, nobody())
        .load(&open_rules(), services())
        .await
        .unwrap();
    assert_eq!(
        plugin.evaluate(&keygen(), soon()).await.verdict.refusal(),
        None
    );
}

#[tokio::test]
async fn code_that_another_hand_wrote_is_never_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("code");
    cached(&folder, 1, Compiler::InProcess)
        .load(&open_rules(), services())
        .await
        .unwrap();
    let file = only_file(&folder);
    let good = std::fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    for bad in [
        flipped(0),
        flipped(32),
        flipped(good.len() - 1),
        good[..good.len() - 1].to_vec(),
        good[..31].to_vec(),
    ] {
        std::fs::write(&file, bad).unwrap();
        let error = refused(&cached(&folder, 1, nobody()), &open_rules()).await;
        assert_eq!(error.code(), Code::Compile, "{error}");
    }
    cached(&folder, 1, Compiler::InProcess)
        .load(&open_rules(), services())
        .await
        .unwrap();
    assert_eq!(
        std::fs::read(&file).unwrap().len(),
        good.len(),
        "it was not replaced"
    );
    cached(&folder, 1, nobody())
        .load(&open_rules(), services())
        .await
        .unwrap();

    let error = refused(&cached(&folder, 2, nobody()), &open_rules()).await;
    assert_eq!(error.code(), Code::Compile, "another node's key: {error}");
}

#[tokio::test]
async fn code_of_one_component_does_not_pass_for_another_s() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("code");
    cached(&folder, 1, Compiler::InProcess)
        .load(&open_rules(), services())
        .await
        .unwrap();
    let file = only_file(&folder);
    let mut other = std::fs::read(open_rules().file).unwrap();
    // A custom section: another digest, the same behaviour.
    other.extend([0, 2, 1, b'x']);
    let component = folder.join("other.wasm");
    std::fs::write(&component, &other).unwrap();
    let digest = hex::encode(Sha256::digest(&other));
    let name = file.file_name().unwrap().to_str().unwrap();
    std::fs::rename(&file, folder.join(format!("{digest}{}", &name[64..]))).unwrap();
    let spec = PluginSpec {
        file: component,
        ..open_rules()
    };
    assert_eq!(
        refused(&cached(&folder, 1, nobody()), &spec).await.code(),
        Code::Compile
    );
    cached(&folder, 1, Compiler::InProcess)
        .load(&spec, services())
        .await
        .unwrap();
}
