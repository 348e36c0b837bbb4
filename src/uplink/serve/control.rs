//! The control socket: the same questions without a token, for whoever may
//! open it (root and the daemon's group).

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};

use super::listen::{Running, connection, wait_after};
use super::routes::Shared;
use super::{Desk, ServeError};

/// Name of the socket in its folder.
pub const SOCKET: &str = "control.sock";
/// The runtime folder that systemd makes for the service.
pub const RUNTIME_DIR: &str = "/run/beian-agent";
/// Where the packages keep the state.
const STATE_DIR: &str = "/var/lib/beian-agent";
/// `status` must get through while the polling API is full: a limit of its own.
const CONNECTIONS: usize = 16;

/// The folders in which the socket may be, the likeliest first. A daemon that
/// was given another state directory is another one than the system's.
pub fn places(state_dir: &Path) -> Vec<PathBuf> {
    if let Some(given) = runtime_directory() {
        return vec![given];
    }
    let mut places = vec![PathBuf::from(RUNTIME_DIR), state_dir.to_path_buf()];
    if state_dir != Path::new(STATE_DIR) {
        places.reverse();
    }
    places
}

/// Where the daemon makes its socket: in `$RUNTIME_DIRECTORY`, else in
/// `/run/beian-agent` if it may write there, else in the state directory.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    let places = places(state_dir);
    let usable = |p: &&PathBuf| rustix::fs::access(p.as_path(), rustix::fs::Access::WRITE_OK).is_ok();
    places.iter().find(usable).map_or(state_dir, PathBuf::as_path).join(SOCKET)
}

/// systemd gives a list with colons; ours has one entry.
fn runtime_directory() -> Option<PathBuf> {
    let list = std::env::var_os("RUNTIME_DIRECTORY")?;
    let first = list.to_str()?.split(':').next()?;
    (!first.is_empty()).then(|| PathBuf::from(first))
}

/// The control socket while it is served. Dropped: closed and removed.
pub struct Control {
    path: PathBuf,
    /// Device and inode of our own socket file.
    ours: (u64, u64),
    run: Option<Running>,
}

impl Control {
    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes no more connections, and closes once the answers that are under
    /// way are out (5 s at most).
    pub async fn drain(mut self) {
        if let Some(run) = self.run.take() {
            run.drain().await;
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Not the file of a daemon that came after us.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.ours) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Serves the control socket at `path` (mode 0660, the process's group). What
/// a dead process left there is replaced; a live one is an error.
pub async fn control(path: &Path, desk: Arc<dyn Desk>) -> Result<Control, ServeError> {
    let at = path.display();
    let failed =
        |e: io::Error| ServeError::new(format!("control socket {at}: {e}"), format!("控制套接字 {at}：{e}"));
    match std::fs::symlink_metadata(path) {
        Ok(m) if !m.file_type().is_socket() => {
            return Err(ServeError::new(
                format!("control socket {at}: something else stands there; move it away"),
                format!("控制套接字 {at}：那里有别的文件，请先移走"),
            ));
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(failed(e)),
            // Answering, or too busy to: alive in either case.
            _ => {
                return Err(ServeError::new(
                    format!("beian-agent is already running: it answers at {at}; see beian-agent status"),
                    format!("beian-agent 已在运行：{at} 有应答；见 beian-agent status"),
                ));
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
    }
    // Made beside it and moved over it: nobody meets it with another mode,
    // and there is no moment without a socket.
    let beside = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let made = (|| {
        let listener = UnixListener::bind(&beside)?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o660))?;
        let m = std::fs::symlink_metadata(&beside)?;
        std::fs::rename(&beside, path)?;
        Ok((listener, (m.dev(), m.ino())))
    })();
    let (listener, ours) = made.map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        failed(e)
    })?;
    let shared = Shared::new(desk, None, Vec::new());
    let run = Running::new(CONNECTIONS, move |stop, permits| accept(listener, shared, stop, permits));
    Ok(Control { path: path.to_path_buf(), ours, run: Some(run) })
}

async fn accept(
    listener: UnixListener,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
    permits: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            a = listener.accept() => a,
            _ = stop.wait_for(|s| *s) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (shared, stop) = (shared.clone(), stop.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    connection(stream, shared, false, stop).await;
                });
            }
            Err(e) => wait_after(&e).await,
        }
    }
}
