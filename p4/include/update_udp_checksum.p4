// RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), over the address's two words and one word more: the port, or two bytes of
// the payload. 0 means "no checksum" and stays; a computed 0 is sent as 0xffff (RFC 768).
#ifndef UPDATE_UDP_CHECKSUM_P4_
#define UPDATE_UDP_CHECKSUM_P4_

#include "headers.p4"

control update_udp_checksum(inout udp_t udp, in ipv4_addr_t old_addr, in ipv4_addr_t new_addr, in bit<16> old_word,
                            in bit<16> new_word) {
  apply {
    if (udp.checksum != 0) {
      bit<32> sum = (bit<32>)(~udp.checksum);
      sum = sum + (bit<32>)(~old_addr[31:16]) + (bit<32>)(~old_addr[15:0]) + (bit<32>)(~old_word);
      sum = sum + (bit<32>)new_addr[31:16] + (bit<32>)new_addr[15:0] + (bit<32>)new_word;
      sum = (bit<32>)sum[15:0] + (bit<32>)sum[31:16];
      sum = (bit<32>)sum[15:0] + (bit<32>)sum[31:16];
      udp.checksum = ~sum[15:0];
      if (udp.checksum == 0) {
        udp.checksum = 0xffff;
      }
    }
  }
}

#endif  // UPDATE_UDP_CHECKSUM_P4_
