/* Placeholder until the layer has its first file. */
typedef int shunt_net_layer;
