// Without validatorUrl the page would ask a server of Swagger's about the document.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", validatorUrl: null, deepLinking: true });
