// No device code.
extern "C" __attribute__((visibility("default"))) int stablekv_host_only() { return 0; }
