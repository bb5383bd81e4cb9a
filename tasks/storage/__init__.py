"""Files in the workspace: published in one step, listed in manifests, leased while they are made."""
