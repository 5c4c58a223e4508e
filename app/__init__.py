"""The service: reads bundles, answers the four verbs. What stands here runs first."""

import os

# onnxruntime reads this when it is imported; set here, no import order inside the package can be too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
