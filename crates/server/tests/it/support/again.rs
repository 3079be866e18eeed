//! A new process on the data of an old one.

use std::{sync::Arc, time::Duration};

use astrolabe_kernel::{Lifecycle, Random};
use astrolabe_knowledge::ingest::extractor::Extractor;
use astrolabe_server::{
    app::{App, Parts},
    router,
    system::System,
};

use super::TestApp;

impl TestApp {
    /// Stops this application and opens another one on its data, with the same settings and the same clock.
    pub async fn restarted(self) -> Self {
        let parts = Parts {
            config: Arc::clone(&self.app.config),
            data_dir: self.app.data_dir.clone(),
            clock: self.app.kernel.clock.clone(),
            random: Random::system(),
            lifecycle: Lifecycle::new(),
            extractor: Extractor::InProcess,
        };
        self.app.stop(Duration::from_secs(30)).await;
        let Self { _folder, app, router: old, .. } = self;
        // Both hold the index, which only one may have open.
        drop((app, old));
        let metrics = astrolabe_kernel::telemetry::recorder();
        let system = System::new(parts.lifecycle.clone(), false, || metrics.render());
        let app = App::open(&parts, system).await.unwrap();
        app.knowledge.start().await.unwrap();
        let (router, description) = router::full(&app);
        Self { app, router, description, _folder }
    }
}
