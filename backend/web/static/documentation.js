// Starts Swagger UI on the page's own element; kept out of the page because inline scripts are refused.
const root = document.getElementById("documentation");
window.SwaggerUIBundle({ url: root.dataset.spec, domNode: root, deepLinking: true, validatorUrl: null });
