//! What the hub does by itself: a task each, all of them stopped together.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Hub;

/// The running tasks.
pub struct Work {
    tasks: Vec<JoinHandle<()>>,
}

/// Starts them.
pub fn start(hub: &Arc<Hub>) -> Work {
    let _ = hub;
    Work { tasks: vec![] }
}

impl Work {
    /// All that they know is in the store: they may stop anywhere.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
