# The images for both processors: docker buildx bake -f deploy/docker-bake.hcl
variable "REPOSITORY" { default = "wellbeing-sidecar" }
variable "VERSION" { default = "0.2.0" }

group "default" { targets = ["sidecar", "client"] }

target "base" {
  context    = "."
  dockerfile = "deploy/Dockerfile"
  platforms  = ["linux/amd64", "linux/arm64"]
  args       = { VERSION = VERSION }
}

target "sidecar" {
  inherits = ["base"]
  target   = "sidecar"
  tags     = [lower("${REPOSITORY}:${VERSION}")]
}

# Only the client's folder, for an init container that copies it into an inference server's pod.
target "client" {
  inherits = ["base"]
  target   = "client"
  tags     = [lower("${REPOSITORY}:${VERSION}-client")]
}
