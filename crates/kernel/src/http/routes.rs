//! Paths with what serves them and what describes them. The description of the API is large and few ever ask for it, so a router keeps only how
//! to make it: a process that idles neither holds it nor has run the code that makes it.

use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{MethodFilter, MethodRouter, Route},
};
use tower::{Layer, Service};
use utoipa::{
    __dev::{SchemaReferences, Tags},
    Path,
    openapi::{HttpMethod, OpenApi},
};

/// Adds one operation, and the schemas that it names, to a description.
pub type Describe = fn(&mut OpenApi);

/// The handlers of one path, as [`routes!`](crate::routes) makes them.
pub struct Operations<S> {
    path: String,
    methods: MethodRouter<S>,
    describe: Vec<Describe>,
}

impl<S: Clone + Send + Sync + 'static> Operations<S> {
    /// No handler yet at the path of `P`.
    #[must_use]
    pub fn at<P: Path>() -> Self {
        Self { path: P::path(), methods: MethodRouter::new(), describe: Vec::new() }
    }

    /// Adds a handler, described by `P`, which has the same path.
    #[must_use]
    pub fn on<P, H, T>(mut self, handler: H) -> Self
    where
        P: Path + for<'t> Tags<'t> + SchemaReferences,
        H: Handler<T, S>,
        T: 'static,
    {
        for method in P::methods() {
            self.methods = self.methods.on(filter(method), handler.clone());
        }
        self.describe.push(describe::<P>);
        self
    }
}

/// The paths of a domain.
pub struct Routes<S = ()> {
    router: Router<S>,
    describe: Vec<Describe>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No path yet.
    #[must_use]
    pub fn new() -> Self {
        Self { router: Router::new(), describe: Vec::new() }
    }

    /// Adds a path.
    #[must_use]
    pub fn routes(mut self, operations: Operations<S>) -> Self {
        self.router = self.router.route(&operations.path, operations.methods);
        self.describe.extend(operations.describe);
        self
    }

    /// Adds another domain's paths.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.describe.extend(other.describe);
        self
    }

    /// Puts a layer around all paths that are there.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.router = self.router.layer(layer);
        self
    }

    /// Gives the handlers their state.
    #[must_use]
    pub fn with_state<S2>(self, state: S) -> Routes<S2> {
        Routes { router: self.router.with_state(state), describe: self.describe }
    }

    /// The router, and how its operations are described.
    pub fn into_parts(self) -> (Router<S>, Vec<Describe>) {
        (self.router, self.describe)
    }
}

fn filter(method: HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
    }
}

fn describe<P: Path + for<'t> Tags<'t> + SchemaReferences>(api: &mut OpenApi) {
    let mut operation = P::operation();
    let tags = P::tags();
    if !tags.is_empty() {
        operation.tags.get_or_insert_default().extend(tags.iter().map(ToString::to_string));
    }
    api.paths.add_path_operation(P::path(), P::methods(), operation);
    let mut schemas = Vec::new();
    P::schemas(&mut schemas);
    api.components.get_or_insert_default().schemas.extend(schemas);
}

/// The handlers of one path, each with its `#[utoipa::path]`: `routes!(documents::routes::get, documents::routes::delete)`.
#[macro_export]
macro_rules! routes {
    (@path [$($done:tt)*] $last:ident) => { $crate::http::paste! { $($done)* [<__path_ $last>] } };
    (@path [$($done:tt)*] $head:ident :: $($rest:tt)+) => { $crate::routes!(@path [$($done)* $head ::] $($rest)+) };
    ($first:ident $(:: $part:ident)* $(, $head:ident $(:: $rest:ident)*)* $(,)?) => {
        $crate::http::Operations::at::<$crate::routes!(@path [] $first $(:: $part)*)>()
            .on::<$crate::routes!(@path [] $first $(:: $part)*), _, _>($first $(:: $part)*)
            $(.on::<$crate::routes!(@path [] $head $(:: $rest)*), _, _>($head $(:: $rest)*))*
    };
}
